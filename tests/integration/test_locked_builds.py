"""Environments from Python lock files, built for real with wheels of the index that this machine's pip uses."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.builds import ROOT, said
from tests.fixtures.locks import KERNEL, PROJECT, uv_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import docker

    Build = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.engine
HELD = ("--read-only", "--user=1000:1000", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp", "--env=HOME=/tmp")


@pytest.fixture
def build(tmp_path: Path, installation: str, engine_environment: dict[str, str]) -> Build:
    """Builds a directory of these files; all lines that the process says."""

    def run(texts: dict[str, str], **env: str) -> list[dict[str, Any]]:
        folder = tmp_path / secrets.token_hex(4)
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        names = (
            f"--name=repolaunch-{installation}-env:{folder.name}",
            f"--label=repolaunch.installation={installation}",
        )
        with subprocess.Popen(
            [sys.executable, "-m", "builders", "build", *names, "--", str(folder)],
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


def test_a_hashed_requirements_file_is_an_environment_with_a_kernel(build: Build, engine: docker.DockerClient) -> None:
    lines = build({"requirements.txt": KERNEL.read_text()})
    image = built(lines)
    try:
        assert not any("Warning" in line.get("text", "") for line in lines)
        found = "[u.find_spec(name) for name in ('jupyterhub', 'jupyterlab')]"
        look = f"import ipykernel, sys, importlib.util as u; print(sys.executable, {found})"
        assert inside(image, "python", "-c", look) == "/opt/env/bin/python [None, None]\n"
        kernels = json.loads(inside(image, "/opt/server/bin/jupyter", "kernelspec", "list", "--json"))["kernelspecs"]
        assert {name: kernel["spec"]["argv"][0] for name, kernel in kernels.items()} == {
            "python3": "/opt/env/bin/python"
        }
        assert inside(
            image, "sh", "-c", "command -v python; command -v repolaunch-singleuser; command -v uv || echo no uv"
        ) == ("/opt/env/bin/python\n/opt/repolaunch/bin/repolaunch-singleuser\nno uv\n")
        server = "import jupyterhub, importlib.util as u; print(u.find_spec('six'), u.find_spec('ipykernel'))"
        poisoned = (
            "env",
            "PYTHONPATH=/opt/env/lib/python3.13/site-packages",
            "/opt/server/bin/python",
            "-I",
            "-c",
            server,
        )
        assert inside(image, *poisoned).split()[-1] == "None"
    finally:
        engine.images.remove(image, force=True)


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
