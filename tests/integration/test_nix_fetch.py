"""What declarations fetch, from a host that a test has made: by a lock file, by a hash, by a revision, and by none.

The host stands for one of the public internet: its name is public, its network is the test's own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builders.errors import BuildAddressClosed, BuilderError, BuildFailed, EnvironmentBroken, EnvironmentImpure
from builders.lines import LOOSE, REPRODUCIBLE, Line, Log
from builders.nix import nar
from builders.nix.evaluate import evaluate
from builders.nix.files import look
from builders.nix.site import Nixpkgs
from builders.nix.tool import NIX
from builders.sandbox import daemon
from builders.variables import NETWORK
from tests.fixtures.cache_host import URL
from tests.fixtures.engine import BASE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from builders.interface import Workshop
    from builders.nix.evaluate import Evaluated
    from builders.sandbox import Daemon

pytestmark = pytest.mark.engine
HOST = "http://forge.example.org:8000"
PACKAGES = """
{ system ? builtins.currentSystem, name ? "tool" }:
derivation { inherit system name; builder = "/bin/sh"; args = [ "-c" "echo >$out" ]; }
"""
FLAKE = "{ outputs = { self }: { lib.tool = import ./default.nix; }; }"
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/bin:/bin"}


class Forge:
    """What the host serves: a folder of packages as a tarball, as a file and as a git repository."""

    def __init__(self, folder: Path) -> None:
        packages = folder / "packages"
        packages.mkdir()
        (packages / "default.nix").write_text(PACKAGES)
        (packages / "flake.nix").write_text(FLAKE)
        with tarfile.open(folder / "packages.tar.gz", "w:gz") as archive:
            archive.add(packages, "packages-1.0")
        (folder / "one.nix").write_text(PACKAGES)
        self.hash = nar.tree(packages)[1]
        git = ["git", "-C", str(packages), "-c", "user.name=a", "-c", "user.email=a@example.org"]
        for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"], ["update-server-info"]):
            subprocess.run([*git, *argv], check=True, env=GIT)
        self.rev = subprocess.run(
            [*git, "rev-parse", "HEAD"], check=True, env=GIT, capture_output=True, text=True
        ).stdout.strip()

    def lock(self, url: str = f"{HOST}/packages.tar.gz", digest: str = "") -> str:
        locked = {"type": "tarball", "url": url, "narHash": digest or self.hash, "lastModified": 1}
        nodes: dict[str, Any] = {"packages": {"locked": locked, "original": {"type": "tarball", "url": url}}}
        return json.dumps(
            {"nodes": {**nodes, "root": {"inputs": {"packages": "packages"}}}, "root": "root", "version": 7}
        )


@pytest.fixture
def forge(
    tmp_path: Path, engine: docker.DockerClient, installation: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Forge]:
    labels = {"repolaunch.installation": installation}
    name = f"repolaunch-test-{secrets.token_hex(4)}"
    folder = tmp_path / "forge"
    folder.mkdir()
    made = Forge(folder)
    network = engine.networks.create(name, labels=labels)
    container = engine.containers.create(
        BASE_IMAGE,
        ["python3", "-m", "http.server", "--directory", "/forge", "8000"],
        labels=labels,
        volumes={str(folder): {"bind": "/forge", "mode": "ro"}},
        user="0",
        network=name,
        networking_config={name: engine.api.create_endpoint_config(aliases=["forge.example.org"])},
    )
    container.start()
    monkeypatch.setenv(NETWORK, name)
    yield made
    container.remove(force=True)
    network.remove()


async def evaluated(
    of: Daemon, folder: Path, files: dict[str, str], site: Nixpkgs | None = None, told: list[Line] | None = None
) -> Evaluated:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = look(folder)
    assert found is not None
    return await evaluate(of, folder, found, "linux/amd64", ([] if told is None else told).append, site)


async def test_what_is_fetched(workshop: Workshop, forge: Forge, tmp_path: Path) -> None:
    outputs = 'packages.x86_64-linux.binder = packages.lib.tool { system = "x86_64-linux"; };'
    flake = f'{{ inputs.packages.url = "{HOST}/packages.tar.gz"; outputs = {{ self, packages }}: {{ {outputs} }}; }}'
    tarball, git = f"{HOST}/packages.tar.gz", f"{HOST}/packages/.git"
    ways: dict[str, tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]] = {
        "no revision": (
            {"shell.nix": f'import (fetchGit "{git}") {{ }}'},
            (f"shell.nix:1: fetchGit of “{git}” has no rev",),
            (f'rev = "{forge.rev}";',),
        ),
        "a revision": (
            {"default.nix": f'import (builtins.fetchGit {{ url = "{git}"; rev = "{forge.rev}"; }}) {{ }}'},
            (),
            (),
        ),
        "no hash": (
            {"binder/default.nix": f'{{ }}:\nimport\n  (fetchTarball "{tarball}") {{ }}'},
            (f"binder/default.nix:3: fetchTarball of “{tarball}” has no sha256",),
            (f'sha256 = "{forge.hash}";',),
        ),
        "a hash": (
            {"default.nix": f'import (fetchTarball {{ url = "{tarball}"; sha256 = "{forge.hash}"; }}) {{ }}'},
            (),
            (),
        ),
        "a file without a hash": (
            {"default.nix": f'import (builtins.fetchurl "{HOST}/one.nix") {{ }}'},
            (f"default.nix:1: fetchurl of “{HOST}/one.nix” has no sha256",),
            (f'sha256 = "{hashlib.sha256(PACKAGES.encode()).hexdigest()}";',),
        ),
        "a lock file": ({"flake.nix": flake, "flake.lock": forge.lock()}, (), ()),
    }
    derivations = set()
    for at, (name, (files, loose, advice)) in enumerate(ways.items()):
        # A store of its own each time: nothing was fetched before.
        async with daemon(NIX, replace(workshop, stores=tmp_path / f"stores{at}"), network=False) as of:
            told: list[Line] = []
            found = await evaluated(of, tmp_path / str(at), files, None, told)
        assert not [line for line in told if isinstance(line, Log) and "setting" in line.text], name
        assert (found.loose, found.advice) == (loose, advice), name
        assert found.inputs.pinning == (LOOSE if loose else REPRODUCIBLE)
        derivations.add(found.derivations)
    assert len(derivations) == 1


async def test_what_is_not_fetched(workshop: Workshop, forge: Forge, tmp_path: Path) -> None:
    tarball = f"{HOST}/packages.tar.gz"
    wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    inner = f'{{ outputs = {{ self }}: {{ packages.x86_64-linux.default = import (fetchTarball {{ url = "{tarball}"; '
    inner += f'sha256 = "{forge.hash}"; }}) {{ }}; }}; }}'
    with_input = '{ inputs.packages.url = "x"; outputs = { self, packages }: packages.lib; }'
    ways: dict[str, tuple[dict[str, str], type[BuilderError], tuple[str, ...]]] = {
        "a private address in the lock file": (
            {"flake.nix": with_input, "flake.lock": forge.lock("http://169.254.169.254/latest")},
            BuildAddressClosed,
            ("169.254.169.254", "flake.lock: packages"),
        ),
        "a private address in an expression": (
            {"default.nix": '\nimport (fetchTarball "https://10.0.0.1/x.tar.gz") { }'},
            BuildAddressClosed,
            ("10.0.0.1", "default.nix:2"),
        ),
        "a file of the machine": (
            {"default.nix": 'import (fetchTarball "file:///etc/passwd") { }'},
            EnvironmentBroken,
            ("default.nix:1", "it fetches “file:///etc/passwd”, and only http, https and git addresses are fetched"),
        ),
        "a fetch in a flake's outputs": (
            {"flake.nix": inner},
            EnvironmentBroken,
            ("flake.nix:1", f"it fetches “{tarball}” while it is evaluated: make that an input of the flake"),
        ),
    }
    async with daemon(NIX, workshop, network=False) as of:
        for at, (name, (files, kind, facts)) in enumerate(ways.items()):
            with pytest.raises(kind) as caught:
                await evaluated(of, tmp_path / str(at), files)
            assert tuple(vars(caught.value).values()) == facts, name
        for name, lock in {"gone": forge.lock(f"{HOST}/gone.tar.gz"), "wrong": forge.lock(digest=wrong)}.items():
            flake = {
                "flake.nix": with_input.replace(
                    '"x"', json.dumps(json.loads(lock)["nodes"]["packages"]["original"]["url"])
                )
            }
            with pytest.raises(BuildFailed) as failed:
                await evaluated(of, tmp_path / name, {**flake, "flake.lock": lock})
            assert failed.value.step.startswith(f"fetching {HOST}/"), name
            assert {"wrong": "mismatch", "gone": "404"}[name] in " ".join(failed.value.tail), name


@pytest.mark.long
@pytest.mark.parametrize("fetch", ["fetchTarball", "fetchurl", "fetchGit"])
async def test_a_host_that_accepts_and_never_answers_is_named(
    workshop: Workshop, cache_host: Path, tmp_path: Path, fetch: str
) -> None:
    """Long before an evaluation has taken all its time."""
    assert cache_host.name
    address = f"{URL}/silent/x"
    async with daemon(NIX, workshop, network=False) as of:
        with pytest.raises(BuildFailed) as caught:
            await evaluated(of, tmp_path / "r", {"default.nix": f'import (builtins.{fetch} "{address}") {{ }}'})
    assert (caught.value.builder, caught.value.step) == ("nix", f"fetching {address}")
    assert "".join(caught.value.tail)


async def test_the_nixpkgs_of_the_site(workshop: Workshop, forge: Forge, tmp_path: Path) -> None:
    rev = "f" * 40
    text = {"shell.nix": "{\n  pkgs ? import <nixpkgs> { }\n}:\npkgs"}
    folder = Nixpkgs(rev, "2026-05-01", folder=tmp_path / "forge" / "packages")
    url = Nixpkgs(rev, "2026-05-01", f"{HOST}/packages.tar.gz", forge.hash)
    async with daemon(NIX, workshop, network=False) as of:
        with pytest.raises(EnvironmentImpure) as caught:
            await evaluated(of, tmp_path / "none", text)
        assert caught.value.path == "shell.nix:2"
        first = await evaluated(of, tmp_path / "url", text, url)
        second = await evaluated(of, tmp_path / "folder", {"default.nix": "import <nixpkgs/default.nix> { }"}, url)
        # Whoever names a revision has not asked for the site's.
        own = await evaluated(
            of,
            tmp_path / "own",
            {"default.nix": 'derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; }'},
            url,
        )
    assert first.loose == ("shell.nix:2: <nixpkgs> is this site’s choice, ffffffffffff of 2026-05-01",)
    assert first.advice == url.advice
    assert f'  url = "{HOST}/packages.tar.gz";' in first.advice
    assert second.loose == ("default.nix:1: <nixpkgs/default.nix> is this site’s choice, ffffffffffff of 2026-05-01",)
    assert first.derivations == second.derivations
    assert own.inputs.pinning == REPRODUCIBLE
    # The folder is a git checkout here: its files count, git's own do not.
    async with daemon(NIX, workshop, network=False) as of:
        assert (await evaluated(of, tmp_path / "again", text, folder)).derivations == first.derivations
