"""The launcher asks the build worker: understood, limited and stopped; worker, engine and registries are real."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import tarfile
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from launcher.builds.interface import BuildRequest
from launcher.builds.remembered import Remembered
from launcher.builds.run import Builders, Engine, Registry
from launcher.builds.verbs import WorkerBuild, WorkerInspect, WorkerPush
from launcher.errors import (
    BaseImageMissing,
    BuildBroken,
    BuildTimeout,
    EngineDown,
    EnvironmentConflict,
    LauncherError,
    RegistryDown,
    ServerMissing,
    UserUnfit,
    VolumeUnfit,
)
from launcher.events import Event, Log, Progress, Stage
from launcher.model import Checkout, Image, RepoRef, ResolvedRepo
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.worker import RunningWorker, running_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import docker

    from launcher.model import Environment, ImageFacts
    from tests.fixtures.registry import RunningRegistry

pytestmark = pytest.mark.engine
WHO = ("-c", "user.name=x", "-c", "user.email=x@example.org")


WOULD_HIDE = "would hide the files of the workspace, which is at /workspace"


class OneCheckout:
    """A stages.Checkouts that has one folder for everything asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @asynccontextmanager
    async def open(self, repo: ResolvedRepo) -> AsyncIterator[Checkout]:
        yield Checkout(repo, self.folder, "tree")


class Site:
    """A checkout and a build worker."""

    def __init__(self, running: RunningWorker) -> None:
        self.running = running
        self.folder = running.checkouts / "checkout"
        self.contents = running.contents
        self.folder.mkdir()
        self.builders = Builders(running.worker, build_s=running.build_s)
        self.engine = Engine(running.worker)
        self.registry = Registry(running.worker, running.registry, "repolaunch")
        self.told: list[Event] = []
        self.checkouts = OneCheckout(self.folder)

    def commit(self, files: dict[str, str], of: str = "https://example.org/x.git") -> Checkout:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        git = ("git", "-C", str(self.folder))
        subprocess.run((*git, "init", "-q"), check=True)
        subprocess.run((*git, "add", "-A"), check=True)
        subprocess.run((*git, *WHO, "commit", "-q", "--allow-empty", "-m", "x"), check=True)
        commit = subprocess.run((*git, "rev-parse", "HEAD"), check=True, capture_output=True, text=True).stdout.strip()
        ref = RepoRef("git", "x", of, "main")
        return Checkout(ResolvedRepo(ref, commit, "refs/heads/main"), self.folder, "tree")

    async def build(self, files: dict[str, str]) -> tuple[BuildRequest, ImageFacts]:
        checkout = self.commit(files)
        environment = await self.builders.detect(checkout, _nobody)
        request = BuildRequest(checkout.repo, environment)
        build = WorkerBuild(self.builders, self.checkouts)
        return request, await build.build(request, self.told.append)


@pytest.fixture
def site(
    tmp_path: Path, installation: str, engine_environment: dict[str, str], registry: RunningRegistry
) -> Iterator[Site]:
    with running_worker(tmp_path, installation, engine_environment, registry=registry.host) as running:
        yield Site(running)


async def test_from_a_checkout_to_a_registry_and_back(
    site: Site, installation: str, engine: docker.DockerClient
) -> None:
    text = f"FROM {BASE_IMAGE}\nRUN true\n"
    request, facts = await site.build({"binder/Dockerfile": text, "a.txt": secrets.token_hex(4)})
    image = engine.images.get(facts.engine_id)
    # A fork with the same files has the same key, so the same image: it names neither.
    assert not [name for name in image.labels if name.startswith("org.opencontainers.image.")]
    assert image.labels["org.repolaunch.tree"].startswith("git:")
    assert facts.server == ("/opt/server/bin/repolaunch-singleuser",)
    assert facts.home == "/home/jovyan"
    assert ":1000:" in facts.passwd
    assert facts.content == ""
    assert await site.engine.has(facts.engine_id)
    assert not await site.engine.has("sha256:" + "0" * 64)
    assert any(isinstance(event, Progress) and event.message.startswith("[2/2] RUN") for event in site.told)
    assert {event.stage for event in site.told if isinstance(event, Log | Progress)} == {Stage.BUILD}

    found = site.registry
    assert await found.find(request.key) is None
    before = time.perf_counter()
    ref = await WorkerPush(site.builders, found).push(Image(request.key, facts, None), site.told.append)
    print(f"push: {time.perf_counter() - before:.2f} s")
    assert await found.find(request.key) == ref
    assert await WorkerPush(site.builders, found).push(Image(request.key, facts, None), site.told.append) == ref
    inspect = WorkerInspect(site.builders, site.checkouts)
    assert await inspect.inspect(ref, request, site.told.append) == facts
    for name in engine.images.get(facts.engine_id).tags:
        engine.images.remove(name, force=True)
    before = time.perf_counter()
    again = await inspect.inspect(ref, request, site.told.append)
    print(f"pull and inspect: {time.perf_counter() - before:.2f} s")
    assert again == facts
    assert not engine.containers.list(all=True, filters={"label": f"repolaunch.installation={installation}"})


async def test_what_an_image_carries_besides_the_commit_is_kept(site: Site) -> None:
    text = f"FROM {BASE_IMAGE}\nWORKDIR /home/jovyan/x\nCOPY . .\nUSER root\nRUN {{}}\n"
    links = "ln -s product inside; ln -s /etc/passwd outside"
    made = f"echo made > product; {links}; mkdir .git; touch .git/x; chmod 4755 product"
    _, facts = await site.build({"Dockerfile": text.format(made), "sub/a.txt": "a"})
    assert facts.content == "/home/jovyan/x"
    (archive,) = site.contents.iterdir()
    assert archive.name == facts.engine_id.removeprefix("sha256:") + ".tar"
    with tarfile.open(archive) as members:
        by_name = {member.name: member for member in members}
    assert set(by_name) == {"Dockerfile", "product", "inside", "sub", "sub/a.txt"}
    assert {(member.uid, member.gid, member.mode & 0o7000) for member in by_name.values()} == {(1000, 1000, 0)}
    # A fork whose files are the same has the same image, and what it carries.
    archive.unlink()
    fork = site.commit({}, of="https://example.org/fork.git")
    assert (await site.builders.inspect(facts.engine_id, fork, _nobody)).content == "/home/jovyan/x"
    assert list(site.contents.iterdir()) == [archive]
    other = site.commit({"sub/a.txt": "b"})
    assert (await site.builders.inspect(facts.engine_id, other, _nobody)).content == ""


@pytest.mark.parametrize(
    "change",
    ["true", "echo changed >> a.txt; touch product", "rm a.txt; touch product", "ln -sf b a.txt; touch product"],
)
async def test_files_that_are_not_the_commits_are_no_content(site: Site, change: str) -> None:
    text = f"FROM {BASE_IMAGE}\nWORKDIR /home/jovyan/x\nUSER root\nCOPY . .\nRUN {change}\n"
    _, facts = await site.build({"Dockerfile": text, "a.txt": "a", "b": ""})
    assert facts.content == ""
    assert list(site.contents.iterdir()) == []


@pytest.mark.parametrize(
    "lines,error",
    [
        ("ENV PATH=/bin:/usr/bin", ServerMissing("/bin:/usr/bin")),
        ("USER root\nRUN chmod 700 /opt", UserUnfit),
        ("USER root\nRUN chmod 644 /opt/server/bin/*-singleuser", UserUnfit),
        ("VOLUME /", VolumeUnfit("/", WOULD_HIDE)),
        ("VOLUME /data\nVOLUME /workspace/home", VolumeUnfit("/workspace/home", WOULD_HIDE)),
        ("VOLUME /opt", VolumeUnfit("/opt", "would hide the image's own server")),
        (
            "USER root\nRUN mkdir -p /workspace/work && ln -s /workspace /srv/x\nVOLUME /srv/x/work",
            VolumeUnfit("/srv/x/work", "is not behind folders only: /srv/x is a link or a file"),
        ),
    ],
)
async def test_an_image_that_cannot_be_a_session(
    site: Site, lines: str, error: LauncherError | type[LauncherError]
) -> None:
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind) as caught:
        await site.build({"Dockerfile": f"FROM {BASE_IMAGE}\n{lines}\n"})
    if isinstance(error, LauncherError):
        assert vars(caught.value) == vars(error)
    else:
        assert "1000" in str(caught.value.args[0])


async def test_other_volumes_are_facts(site: Site) -> None:
    _, facts = await site.build({"Dockerfile": f"FROM {BASE_IMAGE}\nVOLUME /var/lib/b /a/\n"})
    assert facts.volumes == ("/a", "/var/lib/b")


async def test_an_image_without_uid_1000_gets_a_name_for_it(site: Site) -> None:
    text = f"FROM {BASE_IMAGE}\nUSER root\nRUN sed -i /jovyan/d /etc/passwd\n"
    _, facts = await site.build({"Dockerfile": text})
    assert facts.passwd.splitlines()[-1] == "jovyan:x:1000:1000::/home/jovyan:/bin/bash"


async def test_errors_come_back_with_their_facts(site: Site) -> None:
    with pytest.raises(BaseImageMissing) as caught:
        await site.build({"Dockerfile": "FROM no-such-host.invalid/x:1\n"})
    assert caught.value.image == "no-such-host.invalid/x:1"
    checkout = site.commit({"binder/x": "", ".binder/x": ""})
    with pytest.raises(EnvironmentConflict) as conflict:
        await site.builders.detect(checkout, _nobody)
    assert conflict.value.found == ("binder/", ".binder/")


def endless() -> tuple[str, dict[str, str]]:
    marker = f"endless-{secrets.token_hex(6)}"
    return marker, {"Dockerfile": f'FROM {BASE_IMAGE}\nRUN ["sh", "-c", "sleep 100000; true", "{marker}"]\n'}


def steps(marker: str) -> int:
    return sum(marker in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


async def until(condition: bool, marker: str, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while bool(steps(marker)) is not condition:
            await asyncio.sleep(0.1)


async def test_the_time_limit(tmp_path: Path, installation: str, engine_environment: dict[str, str]) -> None:
    marker, files = endless()
    with running_worker(tmp_path, installation, engine_environment, build_s=6) as running:
        with pytest.raises(BuildTimeout) as caught:
            await Site(running).build(files)
        assert caught.value.seconds == 6
        await until(condition=False, marker=marker, within_s=15)


async def test_a_cancelled_build_leaves_nothing(site: Site) -> None:
    marker, files = endless()
    task = asyncio.ensure_future(site.build(files))
    await until(condition=True, marker=marker, within_s=60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.Process(site.running.pid).children(recursive=True)
    await until(condition=False, marker=marker, within_s=15)


async def test_an_engine_that_is_down(tmp_path: Path, installation: str, engine_environment: dict[str, str]) -> None:
    env = engine_environment | {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    with running_worker(tmp_path, installation, env) as running:
        site = Site(running)
        with pytest.raises(EngineDown) as caught:
            await site.build({"Dockerfile": "FROM scratch\n"})
        assert caught.value.reason == "its socket is not there"
        with pytest.raises(EngineDown):
            await site.engine.health()


async def test_a_push_with_the_password_and_without(
    tmp_path: Path, installation: str, engine_environment: dict[str, str], registry_with_password: RunningRegistry
) -> None:
    host, login = registry_with_password.host, registry_with_password.login
    with running_worker(tmp_path, installation, engine_environment, registry=host, login=login) as running:
        site = Site(running)
        checkout = site.commit({"Dockerfile": f"FROM scratch\nENV X={secrets.token_hex(4)}\nCOPY Dockerfile /\n"})
        key = (environment := await site.builders.detect(checkout, _nobody)).key
        engine_id = await site.builders.build(checkout, environment, site.told.append)
        digest = await site.builders.push(engine_id, key, site.told.append)
        assert await site.registry.find(key) == site.registry.ref(digest)
        running.stop()
        running.login = None
        running.start()
        for asked in (site.builders.push(engine_id, key, site.told.append), site.registry.find(key)):
            with pytest.raises(RegistryDown) as caught:
                await asked
            assert caught.value.registry == host


async def test_a_push_of_what_is_not_there(site: Site) -> None:
    with pytest.raises(BuildBroken):
        await site.builders.push("sha256:" + "0" * 64, "a" * 64, site.told.append)


class MemoryRows:
    """What the store's table does, in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Environment] = {}

    async def get(self, tree: str, fingerprint: str) -> Environment | None:
        return self.rows.get((tree, fingerprint))

    async def put(self, tree: str, fingerprint: str, environment: Environment) -> None:
        self.rows[tree, fingerprint] = environment


async def test_a_tree_is_looked_at_once(site: Site) -> None:
    checkout = site.commit({"Dockerfile": "FROM scratch\n"})
    rows = MemoryRows()
    first = await Remembered(site.builders, rows).detect(checkout, _nobody)
    ((_, fingerprint),) = rows.rows
    assert len(fingerprint) == 64
    (site.folder / "Dockerfile").unlink()
    assert await Remembered(site.builders, rows).detect(checkout, _nobody) == first


def _nobody(_: Event) -> None:
    """Nobody listens."""
