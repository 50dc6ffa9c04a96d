"""Which files declare an environment: none, one, several."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders.catalogue import BUILDERS
from builders.detect import fingerprint, look
from builders.errors import BuilderError, EnvironmentBroken, EnvironmentConflict, EnvironmentMissing
from builders.interface import Declaration, Inputs
from builders.repo2docker.locked import bare
from builders.repo2docker.locked.builder import Locked
from launcher.explain.builds import NEAR

PACKAGE = '[project]\nname = "x"\n[build-system]\nrequires = []\n'


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text[3:])
        else:
            path.write_text(text)
    return folder


@pytest.mark.parametrize(
    "files,evidence",
    [
        ({"Dockerfile": "FROM x"}, ("Dockerfile",)),
        ({"binder/Dockerfile": "FROM x"}, ("binder/Dockerfile",)),
        ({".binder/environment.yml": ""}, (".binder/environment.yml",)),
        ({"environment.yaml": ""}, ("environment.yaml",)),
        ({"requirements.txt": "", "apt.txt": "", "README": ""}, ("apt.txt", "requirements.txt")),
        ({"Dockerfile": "", "environment.yml": ""}, ("Dockerfile",)),
        ({"binder/postBuild": "", "environment.yml": "", "Dockerfile": ""}, ("binder/postBuild",)),
        ({"setup.py": ""}, ("setup.py",)),
        ({"pyproject.toml": PACKAGE}, ("pyproject.toml",)),
        ({"DESCRIPTION": ""}, ("DESCRIPTION",)),
        ({"runtime.txt": "r-4.1-2022-01-01"}, ("runtime.txt",)),
        ({"binder/environment.yml": "-> ../environment.yml", "environment.yml": ""}, ("binder/environment.yml",)),
        ({"config/Dockerfile": "", "binder": "-> config"}, ("binder/Dockerfile",)),
    ],
)
def test_one(tmp_path: Path, files: dict[str, str], evidence: tuple[str, ...]) -> None:
    builder, declared = look(write(tmp_path, files), BUILDERS)
    assert (builder.name, declared.evidence) == ("repo2docker", evidence)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": "", "notebook.ipynb": "{}"},
        {"pyproject.toml": "[tool.ruff]\n"},
        {"binder/setup.py": "", "binder/pyproject.toml": PACKAGE},
        {"binder": "a file, not a folder"},
        {"requirements3.txt": ""},
        {"requirements-dev.txt": "", "requirements.in": "", "restart": "", "a/start": "", "a/setup.py": ""},
        {"a/b/environment.yml": "", ".hidden/environment.yml": "", "en\nvironment.yml": ""},
        {"enviroment.yml": "-> gone"},
        {"docs/requirements.txt": ""},
    ],
)
def test_what_declares_nothing_gets_an_environment_of_the_site(tmp_path: Path, files: dict[str, str]) -> None:
    builder, declared = look(write(tmp_path, files), BUILDERS)
    assert (builder.name, declared) == ("repo2docker", Declaration(()))


def test_without_a_builder_for_that_it_is_refused(tmp_path: Path) -> None:
    others = [builder for builder in BUILDERS if builder.name != "repo2docker"]
    with pytest.raises(EnvironmentMissing) as caught:
        look(tmp_path, others)
    assert {"flake.nix", "manifest.scm"} <= set(caught.value.looked_for)
    assert not caught.value.near


async def test_the_environment_of_the_site_is_one_and_says_which_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Locked, "ground", staticmethod(_grounded))
    looked_for = ("environment.yml", "requirements.txt")
    one = await bare.inputs(write(tmp_path / "one", {"docs/requirements.txt": "x"}), "linux/amd64", looked_for)
    two = await bare.inputs(write(tmp_path / "two", {"a.ipynb": "{}"}), "linux/amd64", looked_for)
    assert one.digest == two.digest
    assert (one.pinning, one.advice) == ("not-pinned", bare.ADVICE)
    assert one.loose == (
        bare.NOTHING,
        "docs/requirements.txt: it is not read, as it is neither in the root nor in binder/",
    )
    assert two.loose == (bare.NOTHING,)
    container = write(tmp_path / "three", {".devcontainer/devcontainer.json": "{}"})
    three = await bare.inputs(container, "linux/amd64", looked_for)
    assert three.loose == (
        bare.NOTHING,
        ".devcontainer/devcontainer.json: it is not read; put what it installs into one of the files that are",
    )


async def _grounded() -> str:
    return "sha256:0"


DEPENDENCIES = '[project]\nname = "x"\nversion = "1"\ndependencies = ["numpy"]\n'
NEARLY = [
    ({"enviroment.yml": ""}, "misspelt environment.yml enviroment.yml"),
    ({"requirement.txt": ""}, "misspelt requirements.txt requirement.txt"),
    ({"Requirements.txt": ""}, "misspelt requirements.txt Requirements.txt"),
    ({"dockerfile": ""}, "misspelt Dockerfile dockerfile"),
    ({"postbuild": ""}, "misspelt postBuild postbuild"),
    ({"manifests.scm": ""}, "misspelt manifest.scm manifests.scm"),
    ({"binder/enviroment.yml": ""}, "misspelt environment.yml binder/enviroment.yml"),
    ({"flake.lock": "{}"}, "alone flake.nix flake.lock"),
    ({"channels.scm": ""}, "alone manifest.scm channels.scm"),
    ({"uv.lock": ""}, "alone pyproject.toml uv.lock"),
    ({"binder/README": "", "environment.yml": ""}, "hidden binder/ environment.yml"),
    (
        {".binder/README": "", "flake.nix": "", "flake.lock": ""},
        "hidden .binder/ flake.nix",
    ),
    (
        {"Requirements.txt": "", "code/environment.yml": ""},
        "misspelt requirements.txt Requirements.txt, deeper environment.yml code/environment.yml",
    ),
    (
        {"binder/Dockerfil": "", "binder/a b/environment.yml": ""},
        "misspelt Dockerfile binder/Dockerfil, deeper binder/environment.yml binder/a b/environment.yml",
    ),
    ({"pyproject.toml": DEPENDENCIES}, "unlocked uv.lock pyproject.toml"),
    ({"Manifest.toml": "", "requirements3.txt": ""}, "alone Project.toml Manifest.toml"),
    ({"conda-lock.yml": ""}, "conda-lock environment.yml conda-lock.yml"),
    ({"poetry.lock": "", "pyproject.toml": "[tool.poetry]\n"}, "poetry binder/requirements.txt poetry.lock"),
    ({".binder/x": "", "poetry.lock": ""}, "poetry .binder/requirements.txt poetry.lock"),
    ({"pixi.toml": ""}, "pixi environment.yml pixi.toml"),
    ({"pixi.lock": "", "pixi.toml": ""}, "pixi environment.yml pixi.lock"),
    ({"binder/renv.lock": "", "renv.lock": ""}, "renv binder/runtime.txt binder/renv.lock"),
    ({"devenv.nix": "", "devenv.lock": ""}, "devenv flake.nix devenv.nix"),
]


@pytest.mark.parametrize("files,expected", NEARLY, ids=[" ".join(files) for files, _ in NEARLY])
def test_nearly_one(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    """A misspelt or misplaced file is told by name."""
    with pytest.raises(EnvironmentMissing) as caught:
        look(write(tmp_path, files), BUILDERS)
    assert ", ".join(caught.value.near) == expected


def test_every_kind_is_a_sentence() -> None:
    told = {expected.split(" ")[0] for _, expected in NEARLY} | {"deeper"}
    assert told == set(NEAR)


def test_what_is_read_counts_and_another_tools_file_beside_it_does_not(tmp_path: Path) -> None:
    files = {"requirements.txt": "", "poetry.lock": "", "renv.lock": "", "devenv.nix": ""}
    assert look(write(tmp_path, files), BUILDERS)[1].evidence == ("requirements.txt",)


def test_of_many_that_are_nearly_one_a_few_are_told(tmp_path: Path) -> None:
    many = {f"course-{number:03}/environment.yml": "" for number in range(300)}
    with pytest.raises(EnvironmentMissing) as caught:
        look(write(tmp_path, {**many, "enviroment.yml": ""}), BUILDERS)
    assert caught.value.near[-1] == "deeper environment.yml course-003/environment.yml"
    assert len(caught.value.near) == 5


@pytest.mark.parametrize(
    "files,error",
    [
        ({"binder/x": "", ".binder/y": ""}, EnvironmentConflict(("binder/", ".binder/"))),
        ({"Dockerfile": "-> gone"}, EnvironmentBroken("Dockerfile", "it is a link that leads nowhere")),
        ({"Dockerfile": "-> Dockerfile"}, EnvironmentBroken("Dockerfile", "it is a link that leads nowhere")),
        (
            {"Dockerfile": "-> /etc/passwd"},
            EnvironmentBroken("Dockerfile", "it is a link that leads out of the repository"),
        ),
        ({"binder": "-> /etc", "x": ""}, EnvironmentBroken("binder/", "it is a link that leads out of the repository")),
        ({"apt.txt/x": ""}, EnvironmentBroken("apt.txt", "it is not a file")),
        ({"pyproject.toml": "= no"}, None),
    ],
)
def test_several_or_broken(tmp_path: Path, files: dict[str, str], error: BuilderError | None) -> None:
    with pytest.raises((EnvironmentConflict, EnvironmentBroken, EnvironmentMissing)) as caught:
        look(write(tmp_path, files), BUILDERS)
    if error is not None:
        assert (type(caught.value), vars(caught.value)) == (type(error), vars(error))


class Other:
    """A second builder, which understands what the first does."""

    name, version, looks_for, evaluates = "other", "1", ("Dockerfile",), False

    def detect(self, directory: Path) -> Declaration | None:
        return Declaration(("other.nix",)) if (directory / "other.nix").exists() else None

    async def inputs(self, *_: object) -> Inputs:
        raise NotImplementedError

    async def build(self, *_: object) -> str:
        raise NotImplementedError


def test_two_builders_are_a_conflict(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": "", "other.nix": ""})
    with pytest.raises(EnvironmentConflict) as caught:
        look(tmp_path, (*BUILDERS, Other()))
    assert caught.value.found == ("Dockerfile", "other.nix")


def test_the_fingerprint_changes_with_builders_and_platform() -> None:
    assert asyncio.run(fingerprint(BUILDERS, "linux/amd64")) == asyncio.run(fingerprint(BUILDERS, "linux/amd64"))
    assert asyncio.run(fingerprint(BUILDERS, "linux/amd64")) != asyncio.run(fingerprint(BUILDERS, "linux/arm64"))
    assert asyncio.run(fingerprint(BUILDERS, "linux/amd64")) != asyncio.run(
        fingerprint((*BUILDERS, Other()), "linux/amd64")
    )


def test_looking_imports_neither_repo2docker_nor_docker(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": ""})
    script = (
        "import asyncio, sys; from pathlib import Path; import builders.__main__ as m;"
        "w = m.Workshop(Path(sys.argv[1]));"
        "asyncio.run(m.find(Path(sys.argv[1]), m.BUILDERS, 'linux/amd64', w, print));"
        "print(sorted({'repo2docker', 'docker', 'requests', 'traitlets'} & set(sys.modules)))"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    root = Path(__file__).parents[2]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, cwd=root).stdout == "[]\n"


def test_looking_is_quick(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": ""})
    argv = [sys.executable, "-m", "builders", "detect", "--json", str(tmp_path)]
    seconds = []
    for _ in range(3):
        before = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, cwd=Path(__file__).parents[2], env=dict(os.environ))
        seconds.append(time.perf_counter() - before)
    print(f"detect: {min(seconds):.2f} s")
    assert min(seconds) < 1.5  # 0.25 on an idle machine; tests run beside each other
