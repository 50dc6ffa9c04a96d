"""The spawner: asks the launcher what a session may have, and starts exactly that with DockerSpawner."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from dockerspawner import DockerSpawner
from requests.exceptions import RequestException
from traitlets import Float, Instance, Unicode, default

from builders.logs import LAUNCH
from builders.oci.view import LABEL, View
from deploy.hub.accounts import join
from deploy.hub.allowance import PORT, Allowance, Ground, container, host_config
from deploy.hub.answering import answered
from deploy.hub.asking import ask
from deploy.hub.clearing import STOP_GRACE_S
from deploy.hub.failures import FAILED, REFUSED, TIMEOUT, NoSession, of_engine, tail_of
from deploy.hub.names import project_of
from deploy.hub.pull import fetched
from deploy.hub.turn import Turn
from deploy.hub.volume import have_volume
from launcher.catalogue import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

ENGINE_THREADS = 4
"""Docker calls at one time: 16 starts took 5.2 s with one, 3.1 s with four, no less with more."""
NOT_FOUND = 127
"""Exit code of Docker's init, and of shells, for a program that is not there."""
PULL_S = 1800
"""The hub gives a whole start this long, plus what a server may take to answer."""
GONE = "The image is no longer on this machine; launch the link again."
ENGINE_AWAY = (APIError, DockerException, RequestException, OSError)


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(ENGINE_THREADS, thread_name_prefix="engine")


async def apply_user_options(spawner: ProjectSpawner, options: Mapping[str, Any]) -> None:
    """JupyterHub's hook: before every spawn, whoever asked for it."""
    spawner.allowance = await spawner.ask_launcher(options)


class ProjectSpawner(DockerSpawner):  # type: ignore[misc]  # dockerspawner has no types
    """Starts a project's server as its project is allowed at this moment; fails closed, with a sentence."""

    installation = Unicode(help="Labels everything that is made in Docker.").tag(config=True)
    ground = Instance(Ground, help="What sessions may see of this machine's files.").tag(config=True)
    launcher_url = Unicode(help="Where `/internal/resolve` is.").tag(config=True)
    resolve_secret = Unicode(help="Shows the launcher that the hub asks.").tag(config=True)
    answer_timeout = Float(180.0, help="Seconds that a server may take to answer.").tag(config=True)
    registry_username = Unicode(help="For pulling.").tag(config=True)
    registry_password = Unicode(help="For pulling.").tag(config=True)

    allowance: Allowance | None = None
    _seen: View | None = None
    """What the session sees of the stores in place of an image's layers."""
    _told: list[dict[str, Any]]
    _making: asyncio.Future[None] | None = None
    """A container on its way: also while nobody waits for it any more."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._told = []
        self._news = asyncio.Event()
        self._noticing = asyncio.Lock()
        super().__init__(*args, **kwargs)

    # ------------------------------------------------------------------ what DockerSpawner would do otherwise
    @property
    def executor(self) -> ThreadPoolExecutor:
        """Threads for Docker calls, shared by all spawners."""
        return _executor()

    @property
    def will_resume(self) -> bool:
        """False: stopped containers are kept for their logs only, so the hub revokes their tokens."""
        return False

    @default("object_name")
    def _object_name_default(self) -> str:
        # The engine's name server tells every session how its neighbours' containers are called: nothing of whose they
        # are is in the name. People find them by the label `repolaunch.project`.
        digest = hashlib.sha256(f"{self.installation}/{self.user.name}".encode()).hexdigest()
        return f"repolaunch-{self.installation}-session-{digest[:12]}"

    def load_state(self, state: dict[str, Any]) -> None:
        """Also after a restart of the hub: people whom a project is shared with see no consent page.

        Servers that an earlier version started are in their group from the start on.
        """
        super().load_state(state)
        if self.user is not None and project_of(self.user.name):
            join(self.user.orm_user)
        self._skip_consent()

    async def poll_and_notify(self) -> Any:
        """One at a time: who starts a server again waits until JupyterHub has cleared up after the one that died."""
        async with self._noticing:
            return await super().poll_and_notify()

    def _skip_consent(self) -> None:
        # The site itself shares a project's server with people, so asking each of them says nothing to anybody.
        if self.user is not None and project_of(self.user.name):
            self.user.settings.get("oauth_no_confirm_list", set()).add(self.oauth_client_id)

    # ------------------------------------------------------------------ asking
    async def ask_launcher(self, options: Mapping[str, Any]) -> Allowance:
        """What this spawn may have. Raises NoSession when the launcher says no, nothing, or nonsense."""
        self.allowance = None
        question = {"account": self.user.name, "server": self.name, "user_options": dict(options)}
        return await ask(self.launcher_url, self.resolve_secret, "resolve", question, Allowance)

    # ------------------------------------------------------------------ starting
    async def start(self) -> tuple[str, int]:
        """Start the container and wait until its server answers. Raises NoSession."""
        allowance = self.allowance
        if allowance is None:
            raise NoSession(REFUSED, "The launcher was not asked.")
        self._told.clear()
        LAUNCH.set(allowance.launch)
        self.log.info("starting %s for launch %s", self._log_name, allowance.launch or "none")
        try:
            return await self._start(allowance)
        except ENGINE_AWAY as error:
            raise of_engine(error, "The container engine could not start the session.") from error

    async def _start(self, allowance: Allowance) -> tuple[str, int]:
        self._skip_consent()
        self.image, self.environment = allowance.image, allowance.environment
        self.mem_limit, self.cpu_limit = allowance.memory, allowance.cpu
        project = project_of(self.user.name) or ""
        turn = Turn(self.docker, partial(ask, self.launcher_url, self.resolve_secret, "lease"), project, self._labels())
        await asyncio.gather(
            self._have_image(allowance),
            have_volume(self.docker, self.ground, allowance.volume, project, self.installation),
            turn.prove(),
        )
        self._tell(20, "step.session.container")
        arguments = container(allowance, self.get_env(), self._labels()) | {"image": self.image}
        files = await self._blocking(self.ground.mounts, allowance, self._seen)
        arguments["host_config"] = self.client.create_host_config(**host_config(allowance, self.network_name, files))
        # A start that is cancelled leaves no container of which nobody knows: it is made, and then stopped (`poll`).
        self._making = asyncio.ensure_future(self._make(arguments, allowance, turn))
        self._making.add_done_callback(lambda made: made.cancelled() or made.exception())  # heard, if nobody waits
        await asyncio.shield(self._making)
        state = await self.docker("inspect_container", self.object_id)
        address = state["NetworkSettings"]["Networks"][self.network_name]["IPAddress"]
        self._tell(50, "step.session.waiting")
        await self._wait_for_answer(allowance, f"http://{address}:{PORT}{self.server.base_url}api" if address else "")
        return address, PORT

    async def _make(self, arguments: dict[str, Any], allowance: Allowance, turn: Turn) -> None:
        made = await self.docker("create_container", name=self.object_name, **arguments)
        self.object_id = made["Id"]
        if self._seen:
            await self._hold(self._seen)
        await turn.take(self.object_id)
        await self._run(allowance)

    async def _hold(self, seen: View) -> None:
        """Before the container starts, and not before it is there: who looks for what is left finds both or neither."""
        said = "The environment has just been removed from this machine; start it again."
        try:
            is_there = await self._blocking(self.ground.hold, seen, self.object_id, self.installation)
        except OSError as error:
            said = "The environment cannot be kept for a session; the operator has to look at the stores."
            raise NoSession(FAILED, said, log_message=f"{said} {error}") from error
        if not is_there:
            raise NoSession(FAILED, said)

    async def _run(self, allowance: Allowance) -> None:
        try:
            await self.docker("start", self.object_id)
        except APIError as error:
            text = str(error.explanation or "")
            said = ""
            if "failed to mount local volume" in text:
                said = "The workspace is not where it should be, so no session was started."
            elif "executable file not found" in text or "no such file or directory" in text:
                said = _lacking(allowance)
            if not said:
                raise
            raise NoSession(FAILED, said, log_message=f"{said} {text}") from error

    async def _have_image(self, allowance: Allowance) -> None:
        self._seen = await self._view()
        if self._seen:
            self.image = self._seen.engine_id
        found = await self._image()
        if not self._seen and LABEL in ((found.get("Config") or {}).get("Labels") or {}):
            raise NoSession(FAILED, GONE)
        if lacking := allowance.lacks((found.get("Config") or {}).get("Volumes")):
            said = "The image declares a volume that this session may not have."
            raise NoSession(REFUSED, said, log_message=f"{said} {lacking[:10]}")

    async def _view(self) -> View | None:
        """The stores' view of this image, where the engine has the rest of it; else it is an image like all others."""
        found: View | None = await self._blocking(self.ground.view, self.image)
        try:
            return found and await self.docker("inspect_image", found.engine_id) and found
        except (ImageNotFound, NotFound):
            return None

    async def _blocking(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *arguments)

    async def _image(self) -> dict[str, Any]:
        """What the engine says of the image, fetched if it lacks it. Raises NoSession."""
        try:
            found: dict[str, Any] = await self.docker("inspect_image", self.image)
        except (ImageNotFound, NotFound):
            if "@" not in self.image:
                raise NoSession(FAILED, GONE) from None
            self._tell(5, "step.session.fetching")
            login = {"username": self.registry_username, "password": self.registry_password}
            found = await fetched(self.docker, self.client, self.image, login)
        return found

    def _labels(self) -> dict[str, str]:
        return {
            "repolaunch.installation": self.installation,
            "repolaunch.project": project_of(self.user.name) or "",
            "repolaunch.kind": "session",
        }

    # ------------------------------------------------------------------ waiting
    async def _wait_for_answer(self, allowance: Allowance, url: str) -> None:
        if not await answered(url, self.answer_timeout, partial(self._raise_if_ended, allowance)):
            said = f"The server did not answer within {self.answer_timeout:.0f} seconds."
            raise NoSession(TIMEOUT, said, await self._tail())

    async def _raise_if_ended(self, allowance: Allowance) -> None:
        state = (await self.docker("inspect_container", self.object_id))["State"]
        if state["Running"]:
            return
        said = f"The server ended before it answered (exit code {state['ExitCode']})."
        if state["ExitCode"] == NOT_FOUND:
            said = _lacking(allowance)
        if state.get("OOMKilled"):
            said = "The server needed more memory than a session may have, and was ended."
        raise NoSession(FAILED, said, await self._tail())

    async def _tail(self) -> tuple[str, ...]:
        try:
            return tail_of(await self.docker("logs", self.object_id, tail=40))
        except ENGINE_AWAY:
            return ()

    # ------------------------------------------------------------------ telling
    def _tell(self, progress: int, code: str) -> None:
        self._told.append({"progress": progress, "message": text("en", code), "code": code})
        self._news.set()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Everything told since the start began, then what follows; the hub ends it."""
        shown = 0
        while True:
            for event in self._told[shown:]:
                shown += 1
                yield event
            self._news.clear()
            await self._news.wait()

    # ------------------------------------------------------------------ afterwards
    async def poll(self) -> str | int | None:
        """None while the server runs, and while the engine cannot be asked: that is no reason to give a session up."""
        if self._making is not None:
            await asyncio.wait([self._making])
        if not self.object_id:
            return 0
        try:
            state = (await self.docker("inspect_container", self.object_id))["State"]
        except NotFound:
            return 0
        except ENGINE_AWAY as error:
            self.log.warning("the engine cannot say whether %s runs: %s", self._log_name, error)
            return None
        return None if state["Running"] else f"exit code {state['ExitCode']}"

    async def stop(self, now: bool = False) -> None:
        """Let the server save and end; the stopped container stays for its log until the next start."""
        if self.object_id:
            try:
                await self.docker("stop", self.object_id, timeout=1 if now else STOP_GRACE_S)
            except NotFound:
                self.log.info("the container of %s is gone", self._log_name)
        self.clear_state()


def _lacking(allowance: Allowance) -> str:
    return f"The image lacks a program that its server needs to start; {allowance.command[0]} was to be run."
