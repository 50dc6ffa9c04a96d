"""An image is built again in an empty store and compared: on a real Nix and a real registry."""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders import verify as verifying
from builders.catalogue import BUILDERS
from builders.detect import find
from builders.interface import Order
from builders.lines import Verified
from builders.nix.builder import NixBuilder
from builders.oci import provenance
from builders.oci.access import Access
from builders.oci.closure import checked_closure
from builders.oci.image import MANIFEST_TYPE, canonical, digest_of
from builders.oci.push import publish, push_recorded
from builders.oci.registry import Repository
from builders.verify import MOVING, verify
from tests.fixtures.changed import with_another_byte
from tests.fixtures.nix import SET

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from builders.interface import Workshop
    from builders.lines import Line
    from builders.server import Server
    from tests.fixtures.registry import RunningRegistry

pytestmark = pytest.mark.engine
PLATFORM = "linux/amd64"


def hush(_: Line) -> None:
    """Nobody listens."""


async def pushed(workshop: Workshop, folder: Path, registry: RunningRegistry, engine: docker.DockerClient) -> str:
    """Build what the folder declares, push it with its papers; its name."""
    found, inputs = await find(folder, BUILDERS, PLATFORM, workshop, hush)
    name = f"repolaunch-test-env:{secrets.token_hex(6)}"
    order = Order(folder, found, inputs, name, {}, 0, workshop)
    engine_id = await NixBuilder().build(order, hush)
    provenance.save(workshop.stores, engine_id, provenance.about(order))
    repository = f"{registry.host}/t{secrets.token_hex(6)}/env"
    digest = push_recorded(engine_id, f"{repository}:{found.key}", workshop.stores, hush)
    assert digest is not None
    publish(workshop.stores, engine_id, f"{repository}:{found.key}", digest)
    engine.images.remove(name)
    return f"{repository}@{digest}"


async def test_what_differs_is_named(
    workshop: Workshop,
    nix_author: Path,
    small_server: Server,
    registry: RunningRegistry,
    engine: docker.DockerClient,
) -> None:
    assert small_server.closure.paths
    (nix_author / "default.nix").write_text(SET + '[ (program "tool" "echo hi") kernel ]')
    image = await pushed(workshop, nix_author, registry, engine)
    assert await verify(nix_author, image, PLATFORM, workshop, hush) == Verified("identical", "")
    assert list((workshop.stores / verifying.FOLDER).iterdir()) == []

    other = with_another_byte(Access(registry.host, tls=False), image, "/bin/tool", (b"echo hi", b"echo ho"))
    layer = await verify(nix_author, other, PLATFORM, workshop, hush)
    assert layer.verdict == "different"
    assert layer.difference.startswith("the file /nix/store/")
    assert "-tool/bin/tool is another one: it was at byte" in layer.difference

    (nix_author / "default.nix").write_text(SET + '[ (program "tool" "echo ha") kernel ]')
    inputs = await verify(nix_author, image, PLATFORM, workshop, hush)
    assert inputs.verdict == "different"
    assert inputs.difference.startswith("what is evaluated is another thing: tool was /nix/store/")
    assert "kernel" not in inputs.difference


@pytest.mark.long
async def test_a_step_that_is_not_the_same_twice(
    workshop: Workshop,
    nix_author: Path,
    small_server: Server,
    registry: RunningRegistry,
    engine: docker.DockerClient,
) -> None:
    assert small_server.closure.paths
    dice = 'run "dice" "head -c 8 /dev/urandom >$out"'
    (nix_author / "default.nix").write_text(SET + dice)
    image = await pushed(workshop, nix_author, registry, engine)
    found = await verify(nix_author, image, PLATFORM, workshop, hush)
    assert found.verdict == "different"
    assert "-dice holds other bytes: it was sha256-" in found.difference


async def test_what_cannot_be_compared(workshop: Workshop, tmp_path: Path, registry: RunningRegistry) -> None:
    name = f"t{secrets.token_hex(6)}/env"
    with closing(Repository(Access(registry.host, tls=False), name)) as repository:
        repository.put(b"{}")
        about = {"mediaType": "x/y", "digest": digest_of(b"{}"), "size": 2}
        manifest = canonical({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": about, "layers": []})
        repository.put_manifest("tag", manifest)
        image = f"{registry.host}/{name}@{digest_of(manifest)}"
        unknown = await verify(tmp_path, image, PLATFORM, workshop, hush)
        assert unknown == Verified("not-comparable", "nothing is known of how it was built")
        told = provenance.About("k", "repo2docker", "1", PLATFORM, (), "not-pinned", (), "git:1", "", "")
        provenance.publish(repository, digest_of(manifest), told, checked_closure({}))
    assert await verify(tmp_path, image, PLATFORM, workshop, hush) == Verified("not-comparable", MOVING)
    gone = f"{registry.host}/{name}@sha256:{'0' * 64}"
    missing = await verify(tmp_path, gone, PLATFORM, workshop, hush)
    assert missing == Verified("not-comparable", "the registry has no such image")
