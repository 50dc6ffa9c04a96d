"""Sessions that see a part of the stores: what of it, who says so, and what keeps it there for as long as they live.

The image is the base image, the store one made by hand: what is in it does not matter here.
"""

from __future__ import annotations

import os
import secrets
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import docker.errors
import pytest

from builders.images import EngineImages
from builders.oci import record, view
from builders.oci.held import held
from builders.oci.load import load
from builders.oci.table import Table
from builders.sandbox_files import remove
from builders.views import Views
from launcher.errors import SpawnFailed
from launcher.model import Account, ImageRef, Kind
from tests.fixtures.closures import Shelf, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builders.oci.image import Recipe
    from launcher.model import Project
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
NOBODY = Account("", Kind.ANONYMOUS)
FOREIGN = "0" * 64


@pytest.fixture(scope="module")
def shelf(hub_site: HubSite) -> Iterator[Shelf]:
    """The stores that the hub of this module is told of."""
    found = Shelf(hub_site.folder / "stores")
    (found.stores / view.VIEWS).mkdir(parents=True)
    hub_site.stop_hub()
    hub_site.start_hub(stores=str(found.stores))
    yield found
    hub_site.stop_hub()
    hub_site.start_hub()


@pytest.fixture
def recipe(shelf: Shelf) -> Recipe:
    """Of a closure in both stores, beside other paths."""
    seed = secrets.token_hex(4)
    library = shelf.add("library", {"text": b"of the library"}, seed=seed)
    own = shelf.add("profile", {"text": b"of the profile"}, [library], seed=seed, store="gnu")
    made = shelf.recipe(root=[own])
    settle(shelf.stores / "nix/store")
    settle(shelf.stores / "gnu/store")
    mine = replace(made, closure=type(made.closure)({path: made.closure.paths[path] for path in (library, own)}))
    shelf.add("neighbour", {"text": b"of somebody else"}, seed=seed)
    return mine


@pytest.fixture
def based(hub_site: HubSite, shelf: Shelf, recipe: Recipe) -> Iterator[Project]:
    """A project whose image has a view."""
    project = hub_site.project()
    view.make(recipe, project.image.facts.engine_id)
    yield project
    for folder in (shelf.stores / view.VIEWS).iterdir():
        if folder.name != ".lock":
            _forget(folder)


def _forget(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        remove(folder)


def sweep(site: HubSite, shelf: Shelf) -> Views:
    return Views(EngineImages(os.environ), shelf.stores, site.installation)


def roots(shelf: Shelf, container: str) -> list[str]:
    """Where the garbage-collector roots of a container lead."""
    places = ("nix/var/nix/gcroots", "gnu/var/gcroots")
    folders = (shelf.stores / place / "repolaunch-session" / container for place in places)
    return [str(link.readlink()) for folder in folders if folder.is_dir() for link in folder.iterdir()]


async def test_a_session_sees_its_environment_and_nothing_else_of_the_stores(
    hub_site: HubSite, shelf: Shelf, recipe: Recipe, based: Project
) -> None:
    sessions = hub_site.sessions()
    await sessions.start(based, NOBODY, lambda _: None)
    container = hub_site.container(based)
    mounts = {mount["Destination"]: mount for mount in container.attrs["Mounts"]}
    assert {"/nix", "/gnu", "/workspace"} <= mounts.keys()
    assert not mounts["/nix"]["RW"]
    assert not mounts["/gnu"]["RW"]
    shown = hub_site.run_inside(based, "sh", "-c", "ls -d /nix/store/* /gnu/store/*").split()
    assert set(shown) == recipe.closure.paths.keys()
    refused = hub_site.run_inside(
        based, "sh", "-c", "touch /nix/store/x 2>&1 || chmod 777 /gnu/store/*/text 2>&1 || true"
    )
    assert refused.count("Read-only file system") == 2
    assert roots(shelf, container.id) == list(recipe.root)
    # All other walls are those of every session.
    host = container.attrs["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], container.attrs["Config"]["User"]) == (True, ["ALL"], "1000:1000")
    await sessions.stop(based.id)


async def test_what_a_session_sees_is_kept_until_its_container_has_ended(
    hub_site: HubSite, shelf: Shelf, recipe: Recipe, based: Project
) -> None:
    """However it ends. The store lets its paths go, as a collection does that knows of no root."""
    sessions = hub_site.sessions()
    await sessions.start(based, NOBODY, lambda _: None)
    container = hub_site.container(based)
    other = shelf.stores / "nix/var/nix/gcroots/repolaunch-session" / FOREIGN
    other.mkdir(parents=True)
    (other / f"another.{FOREIGN}.0").symlink_to("/nix/store/x")
    (own,) = recipe.root
    shelf.place(own).rename(shelf.stores / "let-go")
    await sweep(hub_site, shelf).look()
    assert roots(shelf, container.id) == [own]
    assert hub_site.run_inside(based, "cat", f"{own}/text") == "of the profile"

    container.kill()
    container.wait()
    await sweep(hub_site, shelf).look()
    assert roots(shelf, container.id) == []
    assert view.find(shelf.stores, based.image.facts.engine_id) is None
    assert not [folder for folder in (shelf.stores / view.VIEWS).iterdir() if folder.name != ".lock"]
    # Another installation's is its own to judge.
    assert held(shelf.stores) == {FOREIGN: {("another", FOREIGN)}}
    (other / f"another.{FOREIGN}.0").unlink()
    other.rmdir()


async def test_a_view_stays_for_the_next_session_while_the_store_has_its_paths(
    hub_site: HubSite, shelf: Shelf, based: Project
) -> None:
    await sweep(hub_site, shelf).look()
    assert held(shelf.stores) == {}
    assert view.find(shelf.stores, based.image.facts.engine_id) is not None


async def test_an_image_of_the_registry_is_seen_by_its_view_and_fetched_without(
    hub_site: HubSite, shelf: Shelf, based: Project
) -> None:
    digest = f"sha256:{secrets.token_hex(32)}"
    ref = ImageRef(f"127.0.0.1:{hub_site.proxy_api}", "repolaunch/env", digest)
    pushed = replace(based, image=replace(based.image, ref=ref))
    hub_site.stand_in.projects[based.id] = pushed
    view.call(shelf.stores, based.image.facts.engine_id, digest)
    sessions = hub_site.sessions()
    await sessions.start(pushed, NOBODY, lambda _: None)
    assert hub_site.container(pushed).attrs["Image"] == based.image.facts.engine_id
    await sessions.stop(based.id)
    # It has vanished. This registry has no such image; that it is asked is what is shown.
    _forget(shelf.stores / view.VIEWS / based.image.facts.engine_id.removeprefix("sha256:"))
    with pytest.raises(SpawnFailed, match="The image could not be fetched from the registry"):
        await sessions.start(pushed, NOBODY, lambda _: None)


async def test_an_image_that_is_nothing_without_its_view_is_not_started_alone(
    hub_site: HubSite, shelf: Shelf, recipe: Recipe
) -> None:
    name = f"repolaunch-test-view:{secrets.token_hex(8)}"
    try:
        with closing(Table(record.table_of(shelf.stores))) as table:
            small = load(view.without_closure(recipe), name, table, lambda _: None).engine_id
        project = hub_site.with_facts(hub_site.project(), engine_id=small)
        with pytest.raises(SpawnFailed, match="no longer on this machine; launch the link again"):
            await hub_site.sessions().start(project, NOBODY, lambda _: None)
    finally:
        with suppress(docker.errors.ImageNotFound):
            hub_site.engine.images.remove(name, force=True)
