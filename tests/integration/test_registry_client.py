"""The registry client against real registries: open, with a password, with TLS, with tokens, gone."""

from __future__ import annotations

import hashlib
import json
import secrets
import urllib.request
from typing import TYPE_CHECKING

import pytest

from builders.errors import RegistryDown
from builders.registry import MANIFESTS, Registry
from tests.fixtures.registry import free_port, running_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.fixtures.registry import RunningRegistry

OCI_INDEX, OCI_MANIFEST, _, DOCKER_MANIFEST = MANIFESTS


@pytest.fixture
async def client() -> AsyncIterator[Callable[..., Registry]]:
    made = []

    def make(running: RunningRegistry, **changed: object) -> Registry:
        login = running.login or ("", "")
        about: dict[str, object] = {"username": login[0], "password": login[1], "timeout_s": 5}
        if running.ca_file is not None:
            about |= {"tls": True, "ca_file": running.ca_file}
        made.append(Registry(running.host, "repolaunch", **(about | changed)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def put(running: RunningRegistry, key: str, kind: str) -> str:
    """Put a small image under `repolaunch/env:<key>` by hand; its digest. For registries without a login."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    blob = _put_blob(running, config)
    docker = kind == DOCKER_MANIFEST
    about = "application/vnd.docker.container.image.v1+json" if docker else "application/vnd.oci.image.config.v1+json"
    body: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
        "config": {"mediaType": about, "digest": blob, "size": len(config)},
        "layers": [],
    }
    if kind == OCI_INDEX:
        manifest = json.dumps(body).encode()
        inner = _put_manifest(running, _digest(manifest), OCI_MANIFEST, manifest)
        platform = {"architecture": "amd64", "os": "linux"}
        entry = {"mediaType": OCI_MANIFEST, "digest": inner, "size": len(manifest), "platform": platform}
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    return _put_manifest(running, key, kind, json.dumps(body).encode())


def _put_blob(running: RunningRegistry, blob: bytes) -> str:
    base = f"http://{running.host}/v2/repolaunch/env/blobs/uploads/"
    with urllib.request.urlopen(urllib.request.Request(base, method="POST")) as answer:
        where = answer.headers["Location"]
    address = f"{where}&digest={_digest(blob)}"
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(address, blob, headers, method="PUT")  # noqa: S310  # our own registry
    with urllib.request.urlopen(request):  # noqa: S310  # the same
        return _digest(blob)


def _put_manifest(running: RunningRegistry, reference: str, kind: str, body: bytes) -> str:
    address = f"http://{running.host}/v2/repolaunch/env/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": kind}, method="PUT")):
        return _digest(body)


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


@pytest.mark.parametrize("kind", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST])
async def test_finds_every_kind_of_manifest(
    registry: RunningRegistry, client: Callable[..., Registry], kind: str
) -> None:
    key = secrets.token_hex(32)
    digest = put(registry, key, kind)
    assert await client(registry).find(key) == digest


async def test_asks_once(
    registry: RunningRegistry, client: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = secrets.token_hex(32)
    put(registry, key, OCI_MANIFEST)
    asked = client(registry)
    requests = []
    fetch = asked._fetch

    async def counted(method: str, url: str, **more: str) -> object:
        requests.append((method, url))
        return await fetch(method, url, **more)

    monkeypatch.setattr(asked, "_fetch", counted)
    assert await asked.find(key)
    assert len(requests) == 1


@pytest.mark.parametrize("name", ["registry", "registry_with_password", "registry_with_tls", "registry_with_tokens"])
async def test_none_where_there_is_none(
    name: str, request: pytest.FixtureRequest, client: Callable[..., Registry]
) -> None:
    asked = client(request.getfixturevalue(name))
    await asked.health()
    assert await asked.find(secrets.token_hex(32)) == ""


@pytest.mark.parametrize("name", ["registry_with_password", "registry_with_tokens"])
async def test_a_wrong_password(name: str, request: pytest.FixtureRequest, client: Callable[..., Registry]) -> None:
    running = request.getfixturevalue(name)
    for password, username in (("wrong", "builder"), ("", "")):
        with pytest.raises(RegistryDown) as caught:
            await client(running, username=username, password=password).find(secrets.token_hex(32))
        assert caught.value.registry == running.host
        assert "wrong" not in caught.value.reason


async def test_an_unknown_authority(registry_with_tls: RunningRegistry, client: Callable[..., Registry]) -> None:
    with pytest.raises(RegistryDown) as caught:
        await client(registry_with_tls, ca_file=None).health()
    assert "certificate" in caught.value.reason.lower()


async def test_a_registry_that_is_gone(tmp_path: Path, client: Callable[..., Registry]) -> None:
    with running_registry(tmp_path) as running:
        asked = client(running)
        await asked.health()
    with pytest.raises(RegistryDown) as caught:
        await asked.find("k" * 64)
    assert caught.value.reason == "nothing listens there"


async def test_something_else_that_answers(client: Callable[..., Registry], registry_with_tls: RunningRegistry) -> None:
    plain = client(registry_with_tls, tls=False)
    with pytest.raises(RegistryDown):
        await plain.health()


async def test_nobody_there() -> None:
    asked = Registry(f"127.0.0.1:{free_port()}", "repolaunch", timeout_s=2)
    with pytest.raises(RegistryDown):
        await asked.health()
    asked.close()
