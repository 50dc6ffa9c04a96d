"""Environments from Python lock files, built for real with wheels of the index that this machine's pip uses."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builders import machine
from tests.fixtures.builds import ROOT, said
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.locks import KERNEL, PROJECT, SIX, SIX_URL, pylock, uv_lock
from tests.fixtures.service import phases, visiting
from tests.fixtures.trusted import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service, Visitor

    Build = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.engine
HELD = ("--read-only", "--user=1000:1000", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp", "--env=HOME=/tmp")


@pytest.fixture
def build(tmp_path: Path, installation: str, engine_environment: dict[str, str]) -> Build:
    """Builds a directory of these files; all lines that the process says."""

    def run(texts: dict[str, str | bytes], **env: str) -> list[dict[str, Any]]:
        folder = tmp_path / secrets.token_hex(4)
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        names = (
            f"--name=repolaunch-{installation}-env:{folder.name}",
            f"--label=repolaunch.installation={installation}",
        )
        with subprocess.Popen(
            [sys.executable, "-m", "builders", "build", "--json", *names, "--", str(folder)],
            env=engine_environment | {"REPOLAUNCH_STORES": str(tmp_path / "stores")} | env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            return said(process)

    return run


def inside(engine_id: str, *command: str) -> str:
    """What a command prints in a container with a session's walls."""
    argv = ("docker", "run", "--rm", *HELD, engine_id, *command)
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout


def built(lines: list[dict[str, Any]]) -> str:
    assert lines[-1]["type"] == "built", lines[-5:]
    return str(lines[-1]["engine_id"])


async def launched(visitor: Visitor, url: str) -> list[dict[str, Any]]:
    """A launch to its end, however long a busy machine takes: a client gives up sooner."""
    _, launch = await visitor.post("/api/v1/launches", {"url": url, "ref": "main"})
    for _ in range(2):
        with contextlib.suppress(TimeoutError):
            return [event async for event in visitor.follow(launch["id"])]
    return [event async for event in visitor.follow(launch["id"])]


@pytest.mark.timeout(900)
async def test_a_changed_notebook_is_no_build_and_the_kernel_is_the_authors(
    service: Service, git_daemon: GitHost
) -> None:
    unique = f"# {secrets.token_hex(8)}\n"
    repo = git_daemon.make_repo(files={"requirements.txt": unique + KERNEL.read_text(), "paper.ipynb": "{}"})
    async with visiting(service) as visitor:
        await visitor.enter()
        first = await launched(visitor, repo.url)
        assert "build" in phases(first)
        (declared,) = [event for event in first if event["type"] == "declared"]
        assert (declared["pinning"], declared["loose"], declared["evidence"]) == ("locked", [], ["requirements.txt"])
        session = await visitor.session(first[-1]["url"])
        look = "import ipykernel, sys, importlib.util as u; print(sys.executable, [u.find_spec(n) for n in {}])"
        servers = ("jupyterhub", "jupyterlab", "jupyter_server")
        assert await session.run(look.format(servers)) == "/opt/env/bin/python [None, None, None]\n"
        async with session.http.get(f"{session.prefix}api/kernelspecs", headers=session.headers) as answer:
            kernels = (await answer.json())["kernelspecs"]
        assert {name: one["spec"]["argv"][0] for name, one in kernels.items()} == {"python3": "/opt/env/bin/python"}
        repo.add({"paper.ipynb": '{"cells": []}'})
        second = await launched(visitor, repo.url)
        assert "build" not in phases(second), phases(second)
        assert second[-1]["project"] == first[-1]["project"]
        assert second[-1]["type"] == "ready"


@pytest.mark.timeout(900)
async def test_a_repository_that_declares_nothing_is_launched_with_the_sites_python(
    service: Service, git_daemon: GitHost
) -> None:
    repo = git_daemon.make_repo(files={"paper.ipynb": "{}", "docs/requirements.txt": "sphinx"})
    async with visiting(service) as visitor:
        await visitor.enter()
        events = await launched(visitor, repo.url)
        (declared,) = [event for event in events if event["type"] == "declared"]
        assert (declared["pinning"], declared["evidence"], len(declared["loose"])) == ("not-pinned", [], 2)
        assert "It says nothing of the packages that it needs, and gets this site's plain Python" in [
            event.get("message") for event in events
        ]
        session = await visitor.session(events[-1]["url"])
        assert await session.run("import ipywidgets, sys; print(sys.executable)") == "/opt/env/bin/python\n"


@pytest.mark.long
def test_a_wheel_is_fetched_once_and_what_is_kept_is_hashed_again(
    build: Build, tmp_path: Path, engine: docker.DockerClient
) -> None:
    texts = {"uv.lock": uv_lock(), "pyproject.toml": PROJECT}
    first = build(texts)
    ids = [built(first)]
    try:
        assert any(line.get("text") == "Fetching 1 of 1 packages" for line in first)
        warned = [line["text"] for line in first if "Warning" in line.get("text", "")]
        assert warned == [
            (
                "Warning: uv.lock has no ipykernel, so notebooks have no kernel here; a terminal works. "
                "To run notebooks add ipykernel (uv add ipykernel) and lock again."
            )
        ]
        assert inside(ids[0], "python", "-c", "import six; print(six.__version__)") == "1.17.0\n"
        again = build(texts | {"notebook.ipynb": "{}", "pyproject.toml": PROJECT + "# another lock\n"})
        ids.append(built(again))
        assert not any("Fetching" in line.get("text", "") for line in again)
        (wheel,) = (tmp_path / "stores").rglob("*.whl")
        wheel.chmod(0o644)
        wheel.write_bytes(wheel.read_bytes()[:-1] + b"!")
        mended = build(texts)
        ids.append(built(mended))
        assert any(line.get("text") == "Fetching 1 of 1 packages" for line in mended)
    finally:
        for image in set(ids):
            engine.images.remove(image, force=True)


def test_a_file_with_another_hash_is_refused_and_not_kept(build: Build, tmp_path: Path) -> None:
    lines = build({"requirements.txt": f"six==1.17.0 --hash=sha256:{secrets.token_hex(32)}\n"})
    assert lines[-1]["error"] == "BuildFailed", lines[-1]
    assert "six" in " ".join(lines[-1]["facts"]["tail"])
    assert not list(tmp_path.glob("stores/**/*.whl"))


# --------------------------------------------------------------------------- whom the site trusts
def authority(folder: Path, name: str) -> tuple[Path, str]:
    """A bundle of what this machine trusts and one authority more; and that one."""
    made = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-days", "2", "-keyout", str(folder / f"{name}.key"), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    system = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    bundle = folder / f"{name}-bundle.pem"
    bundle.write_text(system.read_text() + made.read_text())
    return bundle, made.read_text()


def without_a_cache(folder: Path) -> str:
    """A PATH on which `docker` builds every step anew."""
    real = shutil.which("docker")
    folder.mkdir()
    (folder / "docker").write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "buildx build" ]; then shift 2; exec {real} buildx build --no-cache "$@"; fi\n'
        f'exec {real} "$@"\n'
    )
    (folder / "docker").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.long
def test_two_sites_with_other_authorities_make_the_same_layers_and_none_holds_either(
    build: Build, tmp_path: Path, engine: docker.DockerClient
) -> None:
    """Each fetches and builds everything itself; a moment later, as another file's owner may have another umask."""
    texts = {"uv.lock": uv_lock(), "pyproject.toml": PROJECT}
    images, authorities, path = [], "", without_a_cache(tmp_path / "bin")
    try:
        for name, mask in (("a", 0o022), ("b", 0o077)):
            bundle, certificate = authority(tmp_path, name)
            stores = str(tmp_path / f"stores-{name}")
            before = os.umask(mask)
            lines = build(texts, SSL_CERT_FILE=str(bundle), REPOLAUNCH_STORES=stores, PATH=path)
            os.umask(before)
            images.append(built(lines))
            authorities += certificate
            assert any("Fetching 1 of 1" in line.get("text", "") for line in lines)
        one, other = (engine.images.get(image).attrs for image in images)
        assert one["RootFS"] == other["RootFS"]
        assert one["Config"] == other["Config"]
        assert holds(engine, images[1], authorities + machine.extra_certificates()) == []
    finally:
        for image in set(images):
            engine.images.remove(image, force=True)


def test_a_post_build_trusts_the_site_and_leaves_no_trace_of_it(
    build: Build, tmp_path: Path, engine: docker.DockerClient
) -> None:
    bundle, certificate = authority(tmp_path, "c")
    line = certificate.splitlines()[1]
    steps = (f'grep -c "{line}" "$SSL_CERT_FILE"', f"echo {secrets.token_hex(4)} > made", 'python -c "import six"')
    script = "\n".join(("#!/bin/sh -e", *steps, ""))
    texts = {"uv.lock": uv_lock(), "pyproject.toml": PROJECT, "postBuild": script}
    lines = build(texts, SSL_CERT_FILE=str(bundle))
    image = built(lines)
    try:
        why = "Every file of the repository counts for this environment, because of postBuild: each commit is built"
        assert why in [one.get("text") for one in lines]
        assert inside(image, "sh", "-c", "ls $REPO_DIR").split() == ["made", "postBuild", "pyproject.toml", "uv.lock"]
        # postBuild itself is in the image and names the line; nothing else does.
        held = inside(image, "sh", "-c", f"grep -rl '{line}' /etc /home /opt /tmp /usr /var 2>/dev/null || true")
        assert held.split() == ["/home/jovyan/repository/postBuild"]
    finally:
        engine.images.remove(image, force=True)


# --------------------------------------------------------------------------- poison
NAME = "six-1.17.0-py2.py3-none-any.whl"
EVIL = """
import os, pathlib, setuptools
said = []
places = ("/opt/repolaunch", os.environ.get("UV_CACHE_DIR", "/x"), "/tmp", "/wheels", "/home/jovyan/.cache")
for place in places:
    for found in [*pathlib.Path(place).rglob("*.whl"), *pathlib.Path(place).rglob("six.py")]:
        try:
            found.write_bytes(b"poison")
            said.append(f"POISONED {found}")
        except OSError as error:
            said.append(f"CLOSED {found}")
pathlib.Path("/opt/env/evil.txt").write_text("\\n".join(said))
setuptools.setup(name="evil", version="1", py_modules=[])
"""


def sdist(folder: Path) -> tuple[str, str]:
    """A source package whose build writes wherever it may: its name and its hash."""
    work = folder / "evil-1"
    work.mkdir()
    (work / "setup.py").write_text(EVIL)
    (work / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    path = folder / "evil-1.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        out.add(work, "evil-1")
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def liar(folder: Path) -> Iterator[str]:
    """A host with a forged wheel, as a build on this machine sees it."""
    (folder / NAME).write_bytes(b"forged")
    bridge = json.loads(subprocess.check_output(("docker", "network", "inspect", "bridge"), text=True))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:  # noqa: S104  # the bridge's own address
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{bridge[0]['IPAM']['Config'][0]['Gateway']}:{server.server_port}/{NAME}"
        server.shutdown()


def test_what_one_repository_leaves_in_a_cache_mount_no_other_reads(build: Build, engine: docker.DockerClient) -> None:
    """On a plain engine too, and whatever the same id is used for: pip's, uv's, the author's own."""
    ids = [f"{name}-{secrets.token_hex(4)}" for name in ("pip", "uv", "own")]
    mounts = " ".join(f"--mount=type=cache,id={one},target=/cache/{one}" for one in ids)
    look = "find /cache -type f | sed s/^/found:/; for one in /cache/*; do echo poison >$one/x; done"
    images = []
    try:
        for place in range(2):
            # The second is another repository by one byte, so that nothing but the id is the same.
            lines = build({"Dockerfile": f"FROM {BASE_IMAGE}\nUSER root\nRUN {mounts} {look} # {ids[0]} {place}\n"})
            images.append(built(lines))
            assert not any(" found:" in line.get("text", "") for line in lines), lines
    finally:
        for image in set(images):
            engine.images.remove(image, force=True)


def test_nothing_of_an_author_changes_what_another_one_installs(
    build: Build, tmp_path: Path, engine: docker.DockerClient
) -> None:
    images = []
    try:
        # pip: a lock that says where the file is, and is lied to.
        (tmp_path / "liar").mkdir()
        with liar(tmp_path / "liar") as url:
            # On this machine it is at a private address, where only the site's own index may be.
            own = {"PIP_EXTRA_INDEX_URL": url.removesuffix(NAME)}
            lines = build({"pylock.toml": pylock().replace(SIX_URL, url)}, **own)
        assert lines[-1]["error"] == "BuildFailed"
        assert "DO NOT MATCH THE HASHES" in " ".join(lines[-1]["facts"]["tail"])
        # uv: a package whose build is a program.
        name, digest = sdist(tmp_path)
        archive = f'archive = {{ path = "{name}", hashes = {{ sha256 = "{digest}" }} }}\n'
        evil = f'\n[[packages]]\nname = "evil"\nversion = "1"\n{archive}'
        lines = build({"pylock.toml": pylock() + evil, name: (tmp_path / name).read_bytes()})
        images.append(built(lines))
        told = inside(images[-1], "cat", "/opt/env/evil.txt")
        assert f"CLOSED /opt/repolaunch/build/wheels/{NAME}" in told, told
        # A Dockerfile whose caches are named as pip's, uv's and ours.
        caches = " ".join(f"--mount=type=cache,id={one},target=/{one}" for one in ("wheels", "uv", "pip"))
        poison = f"for at in wheels uv pip; do echo poison > /$at/{NAME}; done"
        lines = build({"Dockerfile": f"FROM {BASE_IMAGE}\nUSER root\nRUN {caches} {poison} # {secrets.token_hex(4)}\n"})
        images.append(built(lines))

        images.append(built(build({"uv.lock": uv_lock(), "pyproject.toml": PROJECT})))
        (kept,) = (tmp_path / "stores").rglob("*.whl")
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == SIX
        with zipfile.ZipFile(kept) as wheel:
            expected = hashlib.sha256(wheel.read("six.py")).hexdigest()
        look = "import hashlib, six; print(hashlib.file_digest(open(six.__file__, 'rb'), 'sha256').hexdigest())"
        assert inside(images[-1], "python", "-c", look) == f"{expected}\n"
    finally:
        for image in set(images):
            engine.images.remove(image, force=True)
