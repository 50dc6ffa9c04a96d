"""What repo2docker would hand to Docker, for the build packs whose downloads a closed network does not reach."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders.repo2docker.render import Unreadable, render

if TYPE_CHECKING:
    from builders.lines import Log

KINDS = [
    ({"environment.yml": "dependencies: [numpy]\n"}, 'env update -p ${NB_PYTHON_PREFIX} --file "environment.yml"'),
    ({"requirements.txt": "numpy==2.0\n"}, '/bin/pip install --no-cache-dir -r "requirements.txt"'),
    ({"binder/requirements.txt": "numpy\n"}, '/bin/pip install --no-cache-dir -r "binder/requirements.txt"'),
    ({"apt.txt": "graphviz\n"}, "apt-get install --yes --no-install-recommends graphviz"),
    ({"setup.py": ""}, "/bin/pip install --no-cache-dir ."),
    ({"postBuild": "", "requirements.txt": ""}, "RUN ./postBuild"),
]


@pytest.mark.parametrize("files,expected", KINDS, ids=lambda value: "" if isinstance(value, str) else min(value))
def test_the_generated_dockerfile(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    directory, scratch = tmp_path / "d", tmp_path / "s"
    scratch.mkdir()
    for name, text in (files | {".git/config": "secret"}).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    told: list[Log] = []
    before = Path.cwd()
    context = render(directory, scratch, platform="linux/amd64", tell=told.append)
    assert Path.cwd() == before
    assert context.dockerfile is None
    assert context.arguments == {"NB_USER": "jovyan", "NB_UID": "1000"}
    with tarfile.open(context.source) as archive:
        names = archive.getnames()
        file = archive.extractfile("Dockerfile")
        assert file is not None
        text = file.read().decode()
    assert expected in text
    assert "COPY --chown=1000:1000 src/ ${REPO_DIR}/" in text
    assert {f"src/{name}" for name in files} <= set(names)
    assert not any(".git" in name.split("/") for name in names)
    assert not any(str(directory) in line.text for line in told)


def test_a_dockerfile_is_the_authors_own(tmp_path: Path) -> None:
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder" / "Dockerfile").write_text("FROM x\n")
    context = render(tmp_path, tmp_path, platform="linux/amd64", tell=lambda _: None)
    assert (context.source, context.dockerfile) == (tmp_path, tmp_path / "binder" / "Dockerfile")


@pytest.mark.parametrize(
    "files,sentence",
    [
        ({"apt.txt": "; rm -rf /\n"}, "invalid package name"),
        ({"environment.yml": "- a list\n"}, "environment.yml"),
        ({"Dockerfile": "FROM andrewosh/binder-base\n"}, "legacy buildpack has been removed"),
    ],
)
def test_what_repo2docker_refuses(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = os.getcwd()  # noqa: PTH109  # that of the process, as repo2docker changes it
    with pytest.raises(Unreadable) as caught:
        render(tmp_path, tmp_path, platform="linux/amd64", tell=lambda _: None)
    assert sentence in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert os.getcwd() == before  # noqa: PTH109  # the same
