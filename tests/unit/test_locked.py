"""Python lock files: which one counts, what it wants, and the Dockerfile that is made of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from builders.catalogue import BUILDERS
from builders.detect import look
from builders.errors import EnvironmentBroken
from builders.repo2docker import files
from builders.repo2docker.locked import plan as plans
from builders.repo2docker.locked.buildpack import FETCH, dockerfile
from builders.repo2docker.locked.wheels import Wheels
from tests.fixtures.locks import (
    KERNEL,
    PACKAGE,
    PROJECT,
    REQUIREMENTS,
    SIX,
    SIX_SOURCE,
    SIX_URL,
    SOURCE,
    pylock,
    uv_lock,
)

if TYPE_CHECKING:
    from pathlib import Path

    from builders.repo2docker.locked.plan import Plan

AMD = "linux/amd64"
UV = {"uv.lock": uv_lock(), "pyproject.toml": PROJECT}
GIT = '{ git = "https://example.org/six.git?rev=1.17.0#0123456789012345678901234567890123456789" }'


OLD = {"uv.lock": uv_lock().replace(">=3.11", "<3.13"), "pyproject.toml": PROJECT.replace(">=3.11", "<3.13")}


def wheel(url: str = SIX_URL, path: str = "", hashes: str = f'{{ sha256 = "{SIX}" }}') -> str:
    """A pylock's wheel."""
    where = f'path = "{path}"' if path else f'url = "{url}"'
    return f"wheels = [{{ {where}, hashes = {hashes} }}]\n"


def one(text: str) -> dict[str, str]:
    return {"pylock.toml": pylock(text)}


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def planned(folder: Path, texts: dict[str, str], platform: str = AMD) -> Plan:
    declared = files.declaration(write(folder, texts))
    assert declared is not None
    lock = files.locked(folder, declared.evidence)
    assert lock is not None
    return asyncio.run(plans.plan(folder, lock, platform))


@pytest.mark.parametrize(
    "texts,evidence,whole",
    [
        (UV, "pyproject.toml uv.lock", False),
        ({f"binder/{name}": text for name, text in UV.items()}, "binder/pyproject.toml binder/uv.lock", False),
        (UV | {"requirements.txt": "numpy\n"}, "pyproject.toml uv.lock", False),
        (UV | {"apt.txt": "graphviz\n"}, "apt.txt pyproject.toml uv.lock", False),
        (UV | {".python-version": "3.13\n"}, ".python-version pyproject.toml uv.lock", False),
        (UV | {"postBuild": ""}, "postBuild pyproject.toml uv.lock", True),
        (UV | {"start": ""}, "pyproject.toml start uv.lock", True),
        ({"uv.lock": uv_lock('{ editable = "." }'), "pyproject.toml": PACKAGE}, "pyproject.toml uv.lock", True),
        (UV | {"uv.lock": uv_lock(source='{ path = "six.whl" }')}, "pyproject.toml uv.lock", True),
        ({"pylock.toml": pylock()}, "pylock.toml", False),
        ({"pylock.toml": pylock('directory = { path = "." }\n')}, "pylock.toml", True),
        ({"pylock.toml": pylock(wheel(path="six-1.17.0-py3-none-any.whl"))}, "pylock.toml", True),
        ({"requirements.txt": REQUIREMENTS}, "requirements.txt", False),
        ({"requirements.txt": REQUIREMENTS, "runtime.txt": "python-3.13"}, "requirements.txt runtime.txt", False),
        ({"requirements.txt": f"--require-hashes\n{REQUIREMENTS}"}, "requirements.txt", False),
    ],
)  # fmt: skip
def test_what_is_installed_by_its_lock(tmp_path: Path, texts: dict[str, str], evidence: str, whole: bool) -> None:
    _, declared = look(write(tmp_path, texts), BUILDERS)
    assert (" ".join(declared.evidence), declared.whole_tree) == (evidence, whole)
    assert files.locked(tmp_path, declared.evidence) is not None


@pytest.mark.parametrize(
    "texts",
    [
        {"requirements.txt": "six==1.17.0\n"},
        {"requirements.txt": REQUIREMENTS + "numpy==2.0\n"},
        {"requirements.txt": REQUIREMENTS + "-e .\n"},
        {"requirements.txt": REQUIREMENTS + "-r more.txt\n"},
        {"requirements.txt": "# nothing\n"},
        {"requirements.txt": REQUIREMENTS, "setup.py": ""},
        {"requirements.txt": REQUIREMENTS, "runtime.txt": "r-4.1-2022-01-01"},
        {"uv.lock": uv_lock(), "requirements.txt": "six\n"},
        UV | {"environment.yml": ""},
        UV | {"Project.toml": ""},
        UV | {"DESCRIPTION": ""},
        UV | {"Dockerfile": "FROM x"},
    ],
)
def test_what_is_left_to_repo2dockers_own_packs(tmp_path: Path, texts: dict[str, str]) -> None:
    _, declared = look(write(tmp_path, texts), BUILDERS)
    assert files.locked(tmp_path, declared.evidence) is None


@pytest.mark.parametrize("texts", [UV, {"pylock.toml": pylock()}])
def test_a_wheel_is_asked_of_the_sites_index_by_name_and_hash(tmp_path: Path, texts: dict[str, str]) -> None:
    (found,) = planned(tmp_path, texts).wheels
    assert found.line == f"six==1.17.0 --hash=sha256:{SIX}"


def test_a_wheel_of_another_index_is_asked_where_the_lock_says(tmp_path: Path) -> None:
    url = "https://wheels.example.org/six-1.17.0-py3-none-any.whl"
    (found,) = planned(tmp_path, {"pylock.toml": pylock().replace(SIX_URL, url)}).wheels
    assert found.line == f"six @ {url} --hash=sha256:{SIX}"


def test_requirements_are_for_one_platform(tmp_path: Path) -> None:
    text = REQUIREMENTS + REQUIREMENTS.replace("six==1.17.0", "colorama==0.4.6 ; sys_platform == 'win32'")
    plan = planned(tmp_path, {"requirements.txt": f"--extra-index-url https://more.example.org/simple\n{text}"})
    assert [found.line for found in plan.wheels] == [f"six==1.17.0 --hash=sha256:{SIX} --hash=sha256:{SIX_SOURCE}"]
    assert plan.indexes == ("https://more.example.org/simple",)
    assert plan.loose == ()


def test_the_wheel_that_fits_best(tmp_path: Path) -> None:
    names = ("cp313-cp313-manylinux_2_99_x86_64", "cp313-cp313-manylinux_2_17_aarch64", "py3-none-any",
             "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp313-cp313-musllinux_1_2_x86_64",
             "cp312-cp312-manylinux_2_17_x86_64", "cp39-abi3-manylinux_2_28_aarch64")  # fmt: skip
    listed = ", ".join(
        f'{{ url = "https://pypi.org/six-1.17.0-{name}.whl", hashes = {{ sha256 = "{number:064d}" }} }}'
        for number, name in enumerate(names)
    )
    for platform, expected in ((AMD, 3), ("linux/arm64", 1)):
        (found,) = planned(tmp_path, {"pylock.toml": pylock(f"wheels = [{listed}]\n")}, platform).wheels
        assert found.hashes == (f"{expected:064d}",), platform


@pytest.mark.parametrize(
    "texts,source,what",
    [
        (
            {"uv.lock": uv_lock(files=SOURCE), "pyproject.toml": PROJECT},
            f"six==1.17.0 --hash=sha256:{SIX_SOURCE}",
            "uv.lock:17: six 1.17.0 has no wheel for linux/amd64: its source is built with whatever tools that day",
        ),
        (
            {"uv.lock": uv_lock(source=GIT, files=""), "pyproject.toml": PROJECT},
            "six @ git+https://example.org/six.git@0123456789012345678901234567890123456789",
            "uv.lock:17: six is built from its git repository, with whatever tools that day",
        ),
    ],
)
def test_what_has_no_wheel_is_built_and_is_not_pinned(
    tmp_path: Path, texts: dict[str, str], source: str, what: str
) -> None:
    plan = planned(tmp_path, texts)
    assert (plan.wheels, plan.sources, plan.loose) == ((), (source,), (what,))


def test_the_repository_itself_is_installed_from_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"uv.lock": uv_lock('{ editable = "." }'), "pyproject.toml": PACKAGE})
    assert plan.local == (".",)
    assert plan.loose == (
        "uv.lock:6: paper is the repository itself, built with whatever tools its build asks for that day",
    )
    assert "install.py sources /home/jovyan/repository\n" in dockerfile(tmp_path, plan)


@pytest.mark.parametrize(
    "texts,path,reason",
    [
        ({"uv.lock": "version = ", "pyproject.toml": PROJECT}, "uv.lock", "Invalid value (at end of document)"),
        ({"uv.lock": 'version = 1\n[[package]]\nname = "x"\n', "pyproject.toml": PROJECT}, "uv.lock", "uv"),
        ({"uv.lock": "version = 99\n", "pyproject.toml": PROJECT}, "uv.lock", "uv"),
        ({"uv.lock": "package = 3\n", "pyproject.toml": PROJECT}, "uv.lock", "its package is not a list of tables"),
        (OLD, "uv.lock", "'3.13.5' in provided environment does not satisfy the Python version requirement '<3.13'"),
        ({"pylock.toml": "a = 1\n"}, "pylock.toml", "Missing required value in 'lock-version'"),
        (one(wheel(url="file:///etc/six-1.17.0-py3-none-any.whl")), "pylock.toml", "is no address of a package"),
        (one(wheel(url="http://x/ -i/six-1.17.0-py3-none-any.whl")), "pylock.toml", "is no address of a package"),
        (one(wheel(hashes='{ md5 = "x" }')), "pylock.toml", "six has no SHA-256 hash"),
        (one(wheel(hashes='{ sha256 = "x\\n-i http://x" }')), "pylock.toml", "six has no SHA-256 hash"),
        (one('directory = { path = "../../etc" }\n'), "pylock.toml", "../../etc leads out of the repository"),
        (one('vcs = { type = "git", url = "https://x", commit-id = "main" }\n'), "pylock.toml", "six is of no commit"),
        ({"requirements.txt": f"six==1 ; os_name ~~ 'x' --hash=sha256:{SIX}\n"}, "requirements.txt", "Expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, texts: dict[str, str], path: str, reason: str) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        planned(tmp_path, texts)
    assert caught.value.path == path
    assert reason in caught.value.reason
    assert str(tmp_path) not in caught.value.reason
    assert "repolaunch-lock-" not in caught.value.reason


def test_uv_reads_the_lock_and_runs_nothing(tmp_path: Path) -> None:
    for name in (".venv/bin/python", "python3", "git"):
        write(tmp_path, {name: f"#!/bin/sh\ntouch {tmp_path}/ran\n"})
        (tmp_path / name).chmod(0o755)
    write(tmp_path, {"uv.toml": f'cache-dir = "{tmp_path}/cache"\n', ".python-version": "3.9\n"})
    project = PROJECT + f'[tool.uv]\ncache-dir = "{tmp_path}/cache"\npython-preference = "only-managed"\n'
    assert planned(tmp_path, UV | {"pyproject.toml": project}).wheels
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "cache").exists()


# --------------------------------------------------------------------------- the Dockerfile
GIVEN = "--mount=type=bind,source=given,target=/opt/repolaunch/build --mount=type=tmpfs,target=/tmp"
TRUSTED = (
    "--mount=type=secret,id=certificates,target=/opt/repolaunch/secrets/certificates,uid=1000,mode=0400 "
    "--mount=type=secret,id=pip.conf,target=/opt/repolaunch/secrets/pip.conf,uid=1000,mode=0400"
)


def test_a_lock_alone_is_one_step_that_sees_no_secret_and_no_repository(tmp_path: Path) -> None:
    assert dockerfile(tmp_path, planned(tmp_path, UV)) == (
        "FROM localhost/repolaunch/python:1\n"
        "USER 1000:1000\n"
        f"RUN {GIVEN} /usr/bin/python3 -I /opt/repolaunch/build/install.py wheels\n"
    )


def test_what_may_read_the_tree_is_given_it(tmp_path: Path) -> None:
    texts = {f"binder/{name}": text for name, text in UV.items()} | {"binder/postBuild": "", "binder/start": ""}
    assert dockerfile(tmp_path, planned(tmp_path, texts)).splitlines()[3:] == [
        "ENV REPO_DIR=/home/jovyan/repository",
        "COPY --chown=1000:1000 repository/ /home/jovyan/repository/",
        "WORKDIR /home/jovyan/repository",
        (
            f"RUN {GIVEN} {TRUSTED} chmod +x binder/postBuild && "
            "/usr/bin/python3 -I /opt/repolaunch/build/install.py run ./binder/postBuild"
        ),
        "RUN chmod +x /home/jovyan/repository/binder/start",
        'ENTRYPOINT ["tini", "-g", "--", "/home/jovyan/repository/binder/start"]',
    ]


def test_debian_packages_come_first(tmp_path: Path) -> None:
    text = dockerfile(tmp_path, planned(tmp_path, UV | {"apt.txt": "graphviz # for figures\n"}))
    assert text.index("apt-get install --yes --no-install-recommends graphviz") < text.index("USER 1000:1000")
    (tmp_path / "apt.txt").write_text("; rm -rf /\n")
    with pytest.raises(EnvironmentBroken, match="invalid package name"):
        dockerfile(tmp_path, planned(tmp_path, UV))


def test_the_step_that_fetches_sees_nothing_of_the_repository_and_runs_nothing_of_it() -> None:
    steps = [line for line in FETCH.splitlines() if line.startswith(("RUN", "COPY"))]
    assert steps == [
        "RUN install -d -o 1000 /wheels",
        f"RUN {GIVEN} {TRUSTED} /usr/bin/python3 -I /opt/repolaunch/build/fetch.py",
        "COPY --from=fetch /wheels /",
    ]


# --------------------------------------------------------------------------- wheels that are kept
def archive(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "wheels.tar"
    with tarfile.open(path, "w") as out:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            out.addfile(member, io.BytesIO(body))
        link = tarfile.TarInfo("link-1-py3-none-any.whl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
    return path


def test_only_what_has_the_hash_is_kept_and_what_was_changed_is_not_there(tmp_path: Path) -> None:
    body = b"a wheel"
    good = plans.Wheel("six", "1", (hashlib.sha256(body).hexdigest(),))
    other = plans.Wheel("other", "1", ("0" * 64,))
    named = plans.Wheel("named", "1", (hashlib.sha256(b"b").hexdigest(),))
    kept = Wheels(tmp_path / "stores", AMD)
    members = {
        "x/../../six-1-py3-none-any.whl": body,
        "other-1-py3-none-any.whl": b"forged",
        "evil-1-py3-none-any.whl": b"b",
        "passwd": body,
    }
    kept.keep(archive(tmp_path, members), (good, other, named))
    given = tmp_path / "given"
    given.mkdir()
    copied = kept.copy(good, given)
    assert copied is not None
    assert copied.name == "six-1-py3-none-any.whl"
    assert copied.read_bytes() == body
    assert kept.copy(other, given) is kept.copy(named, given) is None
    assert Wheels(tmp_path / "stores", "linux/arm64").copy(good, given) is None

    (whole,) = [path for path in (tmp_path / "stores").rglob("*") if path.is_file()]
    copied.unlink()
    whole.chmod(0o644)
    whole.write_bytes(b"poisoned")
    assert kept.copy(good, given) is None
    assert list(given.iterdir()) == []


def test_the_environment_with_a_kernel_has_one(tmp_path: Path) -> None:
    assert planned(tmp_path, {"requirements.txt": KERNEL.read_text()}).has_kernel
