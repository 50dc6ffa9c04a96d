"""Assembled images with a real registry and a real engine: what is asked and sent, what arrives, that it runs."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import docker.errors
import pytest

import builders.engine
from builders import transfer
from builders.errors import RegistryDown, StoreUnfit
from builders.lines import Progress, Pushed
from builders.oci import load, record
from builders.oci.access import Access, access
from builders.oci.closure import Closure
from builders.oci.image import MANIFEST_TYPE, Blob, Recipe, assemble, digest_of
from builders.oci.push import Tally, push, push_recorded
from builders.oci.registry import Repository
from builders.oci.table import Table
from builders.variables import CA_FILE, PASSWORD, STORES, TLS, USERNAME
from tests.conftest import ROOT
from tests.fixtures.registry import LOGIN, free_port, running_registry
from tests.fixtures.worker import running_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builders.lines import Line
    from tests.fixtures.closures import Shelf
    from tests.fixtures.registry import RunningRegistry

HARD = (b"with\nline end", b"no text \xff\xfe", b"n" * 255, b"\xff" * 255, "ü".encode() * 127)


def silent(_: Line) -> None:
    pass


@pytest.fixture
def table(shelf: Shelf) -> Iterator[Table]:
    with closing(Table(record.table_of(shelf.stores))) as opened:
        yield opened


@pytest.fixture
def recipe(shelf: Shelf, busybox: bytes) -> Recipe:
    """An image that runs: random, so that no engine and no registry has any of it."""
    word = secrets.token_hex(8).encode()
    programs: dict[str | bytes, bytes | str] = dict.fromkeys(
        ("bin/sh", "bin/env", "bin/cat", "bin/ls", "bin/id", "bin/find", "bin/touch", "bin/sleep"), "busybox"
    )
    server = shelf.add("busybox", {"bin/busybox": busybox, "word": word, **programs}, seed=word.decode())
    library = shelf.add("library", {"word": word, **{b"share/" + name: word for name in HARD}}, seed=word.decode())
    files: dict[str | bytes, bytes | str] = {"bin/tool": b"#!/usr/bin/env sh\ncat " + f"{library}/word\n".encode()}
    own = shelf.add("environment", files, [server, library], seed=word.decode())
    made = shelf.recipe(first=[server], root=[own], sh=f"{server}/bin/sh")
    return replace(made, env={"HOME": "/home/jovyan", "PATH": f"{own}/bin:{server}/bin"})


@dataclass
class Counted:
    """A push, and the requests that it made."""

    digest: str
    tally: Tally
    requests: Counter[str]


def pushed(recipe: Recipe, table: Table, how: Access, name: str = "repolaunch/env", tag: str = "key") -> Counted:
    repository = Repository(how, name)
    requests: Counter[str] = Counter()
    send = repository._send
    lock = threading.Lock()

    def counted(method: str, url: str, **more: Any) -> Any:
        what = "mount" if "mount=" in url else method
        with lock:
            requests[what] += 1
        return send(method, url, **more)

    repository._send = counted  # type: ignore[method-assign]
    with closing(repository):
        made, tally = push(recipe, repository, tag, table, silent)
    return Counted(made.digest, tally, requests)


def plain(running: RunningRegistry) -> Access:
    return Access(running.host, running.login, tls=running.ca_file is not None, ca_file=_text(running.ca_file))


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def manifest_in(running: RunningRegistry, name: str, tag: str) -> dict[str, Any]:
    asked = Request(f"http://{running.host}/v2/{name}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE})
    with urlopen(asked) as answer:  # noqa: S310  # our own registry
        found: dict[str, Any] = json.load(answer)
        return found | {"digest": answer.headers["Docker-Content-Digest"]}


def small(shelf: Shelf, count: int = 12) -> Recipe:
    """Paths of random contents."""
    word = secrets.token_hex(8)
    paths = [shelf.add(f"p{number}", {"f": os.urandom(900 + number)}, seed=word) for number in range(count)]
    return shelf.recipe(first=paths[:2], root=paths[-1:])


# --------------------------------------------------------------------------- the registry
def test_each_layer_is_uploaded_once_and_then_only_asked_for(
    registry: RunningRegistry, shelf: Shelf, table: Table
) -> None:
    recipe = small(shelf)
    first = pushed(recipe, table, plain(registry), tag="one")
    layers = 13
    assert (first.tally.uploaded, first.tally.present, first.tally.mounted) == (layers, 0, 0)
    # Nothing is known of them: nothing is asked. A layer is POST and PUT; so is the config, after HEAD.
    assert first.requests == {"POST": layers + 1, "PUT": layers + 2, "HEAD": 1}
    again = pushed(recipe, table, plain(registry), tag="two")
    assert (again.tally.uploaded, again.tally.present) == (0, layers)
    assert again.requests == {"HEAD": layers + 1, "PUT": 1}
    assert again.digest == first.digest
    stored = manifest_in(registry, "repolaunch/env", "two")
    assert stored["digest"] == first.digest
    assert len(stored["layers"]) == layers


def test_a_large_layer_is_sent_as_it_is_read(
    registry: RunningRegistry, shelf: Shelf, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builders.oci.push.HELD", 0)
    recipe = small(shelf)
    first = pushed(recipe, table, plain(registry))
    # Its digest is known when it was sent.
    assert first.requests == {"POST": 14, "PATCH": 13, "PUT": 15, "HEAD": 1}
    place = shelf.stores / "another"
    place.mkdir()
    with running_registry(place) as other:
        again = pushed(recipe, table, plain(other))
        # Its digest is known before.
        assert again.requests == {"HEAD": 14, "POST": 14, "PUT": 15}
        assert manifest_in(other, "repolaunch/env", "key")["digest"] == first.digest == again.digest


def test_a_second_environment_uploads_what_is_new(registry: RunningRegistry, shelf: Shelf, table: Table) -> None:
    recipe = small(shelf)
    pushed(recipe, table, plain(registry))
    added = shelf.add("added", {"f": os.urandom(5000)})
    other = replace(recipe, closure=shelf.closure())
    tally = pushed(other, table, plain(registry), tag="other").tally
    assert (tally.uploaded, tally.present) == (1, 13)
    assert 5000 < tally.uploaded_bytes < 10_000
    assert added in other.closure.paths


def test_another_repository_takes_over_without_an_upload(registry: RunningRegistry, shelf: Shelf, table: Table) -> None:
    recipe = small(shelf)
    pushed(recipe, table, plain(registry))
    other = pushed(recipe, table, plain(registry), name=f"other/{secrets.token_hex(4)}")
    assert (other.tally.uploaded, other.tally.mounted) == (0, 13)
    assert other.requests == {"HEAD": 14, "mount": 13, "POST": 1, "PUT": 2}


def test_a_table_that_is_wrong_about_the_registry(registry: RunningRegistry, shelf: Shelf, table: Table) -> None:
    """It says that another repository has what nobody has: all is uploaded, and it is forgotten."""
    recipe = small(shelf)
    made = assemble(recipe, table)
    for blob in made.blobs:
        table.saw(registry.host, blob.digest, "nobody/knows")
    name = f"other/{secrets.token_hex(4)}"
    assert pushed(recipe, table, plain(registry), name=name).tally.uploaded == 13
    assert table.repositories(registry.host, made.blobs[-1].digest) == [name]


@pytest.mark.parametrize("kind", ["registry_with_password", "registry_with_tokens", "registry_with_tls"])
def test_passwords_tokens_and_authorities(
    kind: str, request: pytest.FixtureRequest, shelf: Shelf, table: Table
) -> None:
    running: RunningRegistry = request.getfixturevalue(kind)
    recipe = small(shelf)
    first = pushed(recipe, table, plain(running))
    assert first.tally.uploaded == 13
    assert pushed(recipe, table, plain(running)).tally.present == 13
    assert pushed(recipe, table, plain(running), name="another/env").tally.mounted == 13


def test_a_token_to_look_is_never_taken_for_one_to_write(registry_with_tokens: RunningRegistry) -> None:
    """Blobs go at one time: some are looked for while others are sent."""
    for _ in range(10):
        with closing(Repository(plain(registry_with_tokens), f"repolaunch/{secrets.token_hex(4)}")) as repository:
            together = threading.Barrier(4)

            def look(repository: Repository = repository, together: threading.Barrier = together) -> None:
                together.wait()
                for _ in range(5):
                    assert not repository.has(f"sha256:{secrets.token_hex(32)}")

            def write(repository: Repository = repository, together: threading.Barrier = together) -> None:
                together.wait()
                for _ in range(5):
                    repository.put(secrets.token_bytes(20))

            with ThreadPoolExecutor(4) as threads:
                for done in [threads.submit(work) for work in (look, write, look, write)]:
                    done.result()


@pytest.mark.parametrize("kind", ["registry_with_password", "registry_with_tokens"])
def test_a_wrong_password(kind: str, request: pytest.FixtureRequest, shelf: Shelf, table: Table) -> None:
    running: RunningRegistry = request.getfixturevalue(kind)
    for login in (("builder", "wrong password"), None):
        with pytest.raises(RegistryDown) as caught:
            pushed(small(shelf), table, replace(plain(running), login=login))
        assert caught.value.registry == running.host
        assert "wrong password" not in caught.value.reason
        assert caught.value.reason in {
            "it refuses the username and the password",
            "it asks for a password",
            "it gives no token: 401 Unauthorized",
        }


def test_an_unknown_authority(registry_with_tls: RunningRegistry, shelf: Shelf, table: Table) -> None:
    with pytest.raises(RegistryDown, match="certificate"):
        pushed(small(shelf), table, replace(plain(registry_with_tls), ca_file=None))


def test_nobody_there_and_a_name_that_no_registry_takes(registry: RunningRegistry, shelf: Shelf, table: Table) -> None:
    with pytest.raises(RegistryDown) as caught:
        pushed(small(shelf), table, Access(f"127.0.0.1:{free_port()}", tls=False))
    assert caught.value.reason == "nothing listens there"
    with pytest.raises(RegistryDown) as caught:
        pushed(small(shelf), table, plain(registry), name="Not/Lower")
    assert caught.value.reason.startswith("it answers 404 Not Found")


def test_a_login_goes_to_its_registry_alone() -> None:
    """A registry may send an upload elsewhere; who is there learns nothing."""
    heard: list[dict[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer(202, Location=f"http://127.0.0.1:{elsewhere.server_port}/here?x=1")

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(201)

        def answer(self, status: int, **headers: str) -> None:
            heard.append({"path": self.path, "login": self.headers.get("Authorization")})
            self.send_response(status)
            for each, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(each, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as first,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as elsewhere,
    ):
        for server in (first, elsewhere):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        with closing(Repository(Access(f"127.0.0.1:{first.server_port}", LOGIN, tls=False), "a")) as repository:
            repository.send(repository.begin(), b"abc", Blob(digest_of(b"abc"), 3))
        for server in (first, elsewhere):
            server.shutdown()
    assert heard[0]["login"] is not None
    assert heard[1] == {"path": f"/here?x=1&digest=sha256%3A{digest_of(b'abc')[7:]}", "login": None}


def test_a_store_that_changed_is_not_pushed(registry: RunningRegistry, shelf: Shelf, table: Table) -> None:
    recipe = small(shelf)
    assemble(recipe, table)
    path = min(recipe.closure.paths)
    file = shelf.place(path) / "f"
    file.chmod(0o644)
    file.write_bytes(os.urandom(file.stat().st_size))
    with pytest.raises(StoreUnfit, match="holds other bytes than it did"):
        pushed(recipe, table, plain(registry), tag="changed")


def test_what_the_environment_says_of_registries() -> None:
    assert access("127.0.0.1:5000", {}) == Access("127.0.0.1:5000", None, tls=False)
    assert access("localhost", {}).tls is False
    assert access("registry.example", {}) == Access("registry.example", None, tls=True)
    said = {USERNAME: "a", PASSWORD: "b", TLS: "0", CA_FILE: "/ca.pem"}
    assert access("registry.example:5000", said) == Access(
        "registry.example:5000", ("a", "b"), tls=False, ca_file="/ca.pem"
    )
    assert access("localhost:5000", {TLS: "1"}).tls is True


def test_a_recorded_image_is_pushed_from_the_store(
    registry_with_password: RunningRegistry, shelf: Shelf, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USERNAME, LOGIN[0])
    monkeypatch.setenv(PASSWORD, LOGIN[1])
    recipe = small(shelf)
    made = assemble(recipe, table)
    target = f"{registry_with_password.host}/repolaunch/env:{secrets.token_hex(8)}"
    assert push_recorded(made.engine_id, target, shelf.stores, silent) is None
    record.save(recipe, made.engine_id)
    assert record.find(shelf.stores, made.engine_id) == recipe
    assert push_recorded(made.engine_id, target, shelf.stores, silent) == made.digest
    record.remove(shelf.stores, made.engine_id)
    assert push_recorded(made.engine_id, target, shelf.stores, silent) is None


# --------------------------------------------------------------------------- the engine
@pytest.fixture
def name(engine: docker.DockerClient) -> Iterator[str]:
    """An image's name; what has it afterwards is removed."""
    given = f"repolaunch-test-oci:{secrets.token_hex(8)}"
    yield given
    with contextlib.suppress(docker.errors.ImageNotFound):
        engine.images.remove(given, force=True)


def run(image: str, installation: str, *command: str) -> subprocess.CompletedProcess[bytes]:
    """As a session runs: nobody's powers, nothing to write to. By the tool: a log would have room for text only."""
    walls = ["--user=1000:1000", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"]
    label = f"--label=repolaunch.installation={installation}"
    argv = ["docker", "run", "--rm", "--pull=never", *walls, label, image, *command]
    return subprocess.run(argv, capture_output=True, check=False)


@pytest.mark.engine
def test_an_image_is_loaded_and_runs(
    engine: docker.DockerClient, installation: str, recipe: Recipe, table: Table, name: str, tmp_path: Path
) -> None:
    told: list[Line] = []
    made = load.load(recipe, name, table, told.append)
    assert engine.images.get(name).id == made.engine_id == assemble(recipe, table).engine_id
    library = next(path for path in recipe.closure.paths if path.endswith("-library"))
    word = (recipe.stores / library[1:] / "word").read_bytes()
    assert run(name, installation, "tool").stdout == word
    assert run(name, installation, "/bin/sh", "-c", "id -u; echo $HOME").stdout.split() == [b"1000", b"/home/jovyan"]
    listed = run(name, installation, "find", f"{library}/share", "-type", "f", "-print0").stdout
    assert {one.rpartition(b"/")[2] for one in listed.split(b"\0")[:-1]} == set(HARD), "names are bytes"
    assert b"Read-only file system" in run(name, installation, "touch", "/home/jovyan/x").stderr
    # What the engine gives back is what the store holds.
    with (tmp_path / "saved.tar").open("wb") as saved:
        for chunk in engine.images.get(name).save():
            saved.write(chunk)
    with tarfile.open(tmp_path / "saved.tar") as outer:
        listing = outer.extractfile("manifest.json")
        assert listing is not None
        for number, inner in enumerate(json.load(listing)[0]["Layers"]):
            layer = outer.extractfile(inner)
            assert layer is not None
            assert layer.read() == b"".join(made.layers[number].chunks())
    assert all(isinstance(line, Progress) for line in told)


@pytest.mark.engine
def test_an_engine_is_given_what_it_lacks(
    engine: docker.DockerClient,
    installation: str,
    shelf: Shelf,
    recipe: Recipe,
    table: Table,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second environment that begins alike: its last layer is sent. An engine that has lost one gets all of them."""
    sent: list[int] = []
    given = transfer.load

    def weighed(client: docker.DockerClient, archive: load.Archive) -> None:
        chunks = list(archive)
        sent.append(sum(map(len, chunks)))
        given(client, iter(chunks))

    monkeypatch.setattr(transfer, "load", weighed)
    first = load.load(recipe, name, table, silent)
    assert load.load(recipe, name, table, silent).engine_id == first.engine_id
    own = shelf.add("environment", {"bin/more": b"#!/bin/sh\necho more\n"}, seed=secrets.token_hex(8))
    closure = Closure({path: shelf.closure().paths[path] for path in {*recipe.closure.paths, own} - recipe.root})
    env = {**recipe.env, "PATH": f"{own}/bin:{recipe.env['PATH']}"}
    other = replace(recipe, closure=closure, root=frozenset({own}), env=env)
    second = load.load(other, name, table, silent)
    assert run(name, installation, "more").stdout == b"more\n"
    everything = sum(blob.size for blob in first.blobs)
    assert sent[0] > everything > 1_000_000
    assert sent[1] < 20_000 < everything, "it had all of it"
    assert sent[2] < 20_000
    assert [blob.digest for blob in second.blobs[:-1]] == [blob.digest for blob in first.blobs[:-1]]
    # Its images are gone, and it says that they are not.
    engine.images.remove(first.engine_id, force=True)
    engine.images.remove(second.engine_id, force=True)
    layers = [blob.digest for blob in first.blobs]
    monkeypatch.setattr(transfer, "layers_in", lambda _, image: layers if image == first.engine_id else [])
    assert load.load(recipe, name, table, silent).engine_id == first.engine_id
    assert (sent[3] < 20_000, sent[4] > everything) == (True, True)
    assert run(name, installation, "/bin/sh", "-c", "echo here").stdout == b"here\n"


@pytest.mark.engine
def test_an_image_is_pulled_and_runs(
    engine: docker.DockerClient, installation: str, recipe: Recipe, table: Table, registry: RunningRegistry
) -> None:
    repository = f"repolaunch/{secrets.token_hex(4)}"
    digest = pushed(recipe, table, plain(registry), name=repository).digest
    address = f"{registry.host}/{repository}@{digest}"
    try:
        assert engine.images.pull(f"{registry.host}/{repository}", tag=digest).id == assemble(recipe, table).engine_id
        library = next(path for path in recipe.closure.paths if path.endswith("-library"))
        assert run(address, installation, "tool").stdout == (recipe.stores / library[1:] / "word").read_bytes()
    finally:
        engine.images.remove(address, force=True)


@pytest.mark.engine
def test_the_engine_knows_what_was_pushed_from_the_store(
    engine: docker.DockerClient,
    recipe: Recipe,
    table: Table,
    name: str,
    registry_with_tokens: RunningRegistry,
    engine_environment: dict[str, str],
) -> None:
    """The verb `push` of a builder process: the next session starts by digest, and nothing is fetched for it."""
    made = load.load(recipe, name, table, silent)
    record.save(recipe, made.engine_id)
    target = f"{registry_with_tokens.host}/repolaunch/{secrets.token_hex(4)}:{secrets.token_hex(8)}"
    env = {USERNAME: LOGIN[0], PASSWORD: LOGIN[1], STORES: str(recipe.stores)}
    argv = [sys.executable, "-m", "builders", "push", "--json", made.engine_id, target]
    done = subprocess.run(argv, env=engine_environment | env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout.splitlines()[-1]) == {"type": "pushed", "digest": made.digest}, done.stderr
    repository = target.rpartition(":")[0]
    try:
        attrs = engine.images.get(made.engine_id).attrs
        assert target in attrs["RepoTags"]
        assert attrs["RepoDigests"] == [f"{repository}@{made.digest}"]
        assert "Pulling" not in done.stdout
    finally:
        for each in (target, f"{repository}@{made.digest}"):
            with contextlib.suppress(docker.errors.APIError):
                engine.images.remove(each)


@pytest.mark.engine
async def test_the_worker_says_how_the_registry_is_spoken_to(
    engine: docker.DockerClient,
    installation: str,
    recipe: Recipe,
    table: Table,
    registry_with_tls: RunningRegistry,
    engine_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """An authority of the site's own, and an image that carries no label of the installation but has its name."""
    key = secrets.token_hex(32)
    local = f"repolaunch-{installation}-env:{key}"
    made = load.load(recipe, local, table, silent)
    record.save(recipe, made.engine_id)
    env = {
        "REPOLAUNCH_WORKER_TLS": "1",
        "REPOLAUNCH_WORKER_CA_FILE": str(registry_with_tls.ca_file),
        STORES: str(recipe.stores),
    }
    host = registry_with_tls.host
    target = f"{host}/repolaunch/env"
    try:
        with running_worker(tmp_path, installation, engine_environment | env, registry=host) as running:
            asked = {"engine_id": made.engine_id, "key": key, "space": ""}
            assert await running.worker.ask(Pushed, "push", asked) == Pushed(made.digest)
        assert engine.images.get(f"{target}@{made.digest}").id == made.engine_id
    finally:
        for each in (local, f"{target}:{key}", f"{target}@{made.digest}"):
            with contextlib.suppress(docker.errors.APIError):
                engine.images.remove(each)


@pytest.mark.engine
def test_a_store_that_changes_in_the_midst_is_not_loaded(
    engine: docker.DockerClient, recipe: Recipe, table: Table, name: str
) -> None:
    archive = iter(load.Archive(recipe, name, table, silent))
    next(archive)
    path = next(iter(recipe.root))
    tool = recipe.stores / path[1:] / "bin" / "tool"
    tool.chmod(0o755)
    tool.write_bytes(b"#!/bin/sh\n" * 999)
    with pytest.raises(StoreUnfit, match="changed while it was read"), builders.engine.client() as client:
        transfer.load(client, archive)
    with pytest.raises(docker.errors.ImageNotFound):
        engine.images.get(name)
