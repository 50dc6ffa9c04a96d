"""`/build/<provider>/<spec>`: a launch as BinderHub's clients know it.

Phases and fields are BinderHub's. Errors are events too, with HTTP status 200. An event's id is
`<n>-<launch>-<signature>`: who shows it in `Last-Event-ID` is the visitor who started that launch, is sent what
comes after, and at `ready` a token that was minted for this reading.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin

from launcher import explain
from launcher.errors import BadRequest, LauncherError, LaunchMissing, RetryLater
from launcher.events import Cancelled, Ended, Failed, Progress, Queued, Ready, Stage
from launcher.model import Kind
from launcher.web import auth
from launcher.web.events import StreamHandler
from launcher.web.pieces import Reading
from launcher.web.routes import EVENTS, LAST_ID, Operation, Route

if TYPE_CHECKING:
    from launcher.events import Event, Numbered
    from launcher.model import Project, RepoRef
    from launcher.web.context import Web
    from launcher.web.pieces import Told
    from launcher.web.views import LaunchView

PHASES: Final[dict[Stage, str]] = {
    Stage.RESOLVE: "waiting",
    Stage.CHECKOUT: "fetching",
    Stage.DETECT: "fetching",
    Stage.IMAGE: "waiting",
    Stage.BUILD: "building",
    Stage.PUSH: "pushing",
    Stage.WORKSPACE: "launching",
    Stage.QUEUE: "launching",
    Stage.SESSION: "launching",
}
REF_PATHS: Final[dict[str, str]] = {"gh": "/tree/", "gl": "/tree/"}
"""Where a provider shows a commit, after the repository's address."""
LINGER_S: Final = 5.0
"""A stream that has seen a build stays open so long after `ready`: some clients take an end at once for a failure."""
_EVENT_ID = re.compile(r"([0-9]{1,12})-([0-9a-f]{32})-([0-9a-f]{32})")
_NEVER = re.compile(r"q\s*=\s*0(\.0*)?")
_IMAGE = re.compile(r"\S*sha256:[0-9a-f]{64}")

Fields = dict[str, object]


def accepts_events(accept: str) -> bool:
    """Say whether an Accept header names text/event-stream, among others or with parameters.

    `*/*` is not enough, as with BinderHub: a crawler must not start builds. BinderHub reads semicolons between types.
    """
    for media in accept.lower().split(","):
        parts = [part.strip() for part in media.split(";")]
        if "text/event-stream" in parts and not any(_NEVER.fullmatch(part) for part in parts):
            return True
    return False


def event_id(secret: bytes, launch: str, n: int) -> str:
    """The id of event `n`: who has it may read the launch and gets its token."""
    return f"{n}-{launch}-{auth.sign(secret, 'launch', launch)}"


def parse_event_id(secret: bytes, text: str) -> tuple[int, str] | None:
    """The number and the launch, if the signature is ours."""
    parts = _EVENT_ID.fullmatch(text)
    if parts and auth.same(parts[3], auth.sign(secret, "launch", parts[2])):
        return int(parts[1]), parts[2]
    return None


def binder_fields(event: Event) -> Fields:
    """An event as BinderHub's clients read it; `Build` adds to `ready`."""
    phase, message, more = _phase(event)
    return {"phase": phase, "message": message if message.endswith("\n") else f"{message}\n", **more}


def _phase(event: Event) -> tuple[str, str, Fields]:
    found: tuple[str, str, Fields]
    match event:
        case Failed():
            found = ("failed", failure(event), {"status_code": event.status})
        case Cancelled():
            found = ("failed", event.message, {"status_code": int(HTTPStatus.CONFLICT)})
        case Ready():
            found = ("ready", event.message, {} if event.project else {"imageName": event.image})
        case Ended(stage=Stage.IMAGE):
            image = _IMAGE.search(event.message)
            found = ("built", event.message, {"imageName": image[0] if image else ""})
        case Queued():  # a phase of its own would end clinder
            found = ("launching", event.message, {one: getattr(event, one) for one in ("place", "ahead", "reason")})
        case Progress(stage=Stage.PUSH):
            found = ("pushing", event.message, {"progress": event.percent or 0})
        case _:
            found = (PHASES[event.stage], event.message, {})
    return found


def failure(told: Failed) -> str:
    """All that is told of a failure, as lines."""
    return "\n".join(part for part in (f"{told.title}.", told.seen, told.todo) if part) + "\n"


def encode(fields: Fields, event: str = "") -> bytes:
    """One event of the stream."""
    head = f"id: {event}\n" if event else ""
    return f"{head}data: {json.dumps(fields)}\n\n".encode()


class Build(StreamHandler):
    """`GET /build/<provider>/<spec>`."""

    asks_who = True
    listed_sites = True
    linger_s = LINGER_S

    async def prepare(self) -> None:
        """Find out who asks; whatever is wrong becomes an event in `get`."""
        self.problem: LauncherError | None = None
        try:
            await super().prepare()
        except LauncherError as error:
            self.problem = error

    async def get(self, provider: str, _spec: str) -> None:
        """Start a launch, or go on reading the one that `Last-Event-ID` proves, and follow it to its end."""
        if self.request.method == "HEAD":
            self.set_header("Content-Type", "text/event-stream")
            return
        if self.problem is not None:
            self._refuse(self.problem)
            return
        try:
            launch, after = await self._launch(provider)
        except LauncherError as error:
            self._refuse(error)
            return
        told = await self.web.launches.log(launch.id)
        if told.ended and after >= told.shown:  # 204 tells an EventSource not to come back
            self.set_status(HTTPStatus.NO_CONTENT)
            return
        await self.watch(self._reading(launch, told), after)

    def _reading(self, launch: LaunchView, told: Told) -> Reading:
        """What this visitor reads: nothing in it holds the request."""
        entrance = Entrance(self.web, launch, self.address, self.visitor)
        secret = self.web.secret

        def written(one: Numbered) -> bytes | None:
            if isinstance(one.event, Ready) and one.event.project:
                return None  # with a token that is made for this visitor
            return encode(binder_fields(one.event), event_id(secret, launch.id, one.n))

        async def alone(one: Numbered) -> bytes:
            return encode(await entrance.ready(one.event), event_id(secret, launch.id, one.n))

        linger_s = self.linger_s
        return Reading(
            told, (launch.id, "build"), written, alone, lambda: linger_s if _ready_after_a_build(told) else 0
        )

    def _refuse(self, error: LauncherError) -> None:
        told = explain.explain(error)
        self.set_header("Content-Type", "text/event-stream")
        if isinstance(error, RetryLater):
            self.set_header("Retry-After", str(error.seconds))
        self.finish(encode({"phase": "failed", "message": failure(told), "status_code": told.status}))

    async def _launch(self, provider: str) -> tuple[LaunchView, int]:
        """The launch, and the number of the last event that the client has."""
        accept = self.request.headers.get("Accept", "")
        if not accepts_events(accept):
            seen = f"It is “{accept}”, and asks for no type that is given here." if accept else "It is missing."
            raise BadRequest("Accept", seen, "text/event-stream, alone or in a list")
        build_only = self.get_query_argument("build_only", "").lower() == "true"
        raw = self.request.path.removeprefix(f"/build/{provider}/")
        ref = self.web.links.parse_spec(provider, raw)
        resumed = await self._resumed(ref, build_only=build_only)
        if resumed is not None:
            return resumed
        account = self.who.account if self.who else auth.STRANGER
        freed = self._freed(f"{provider}/{raw}")
        if build_only and (joined := self.web.launches.building(account, ref)):
            return joined, 0
        return await self.begin_launch(account, ref, build_only=build_only, freed=freed), 0

    def _freed(self, link: str) -> bool:
        """Whether a build token frees this launch. Raises BuildTokenRefused."""
        token = self.get_query_argument("build_token", "")
        origin = self.request.headers.get("Origin", "")
        return bool(token) and self.web.build_tokens.spend(token, link, origin, self.request.host)

    async def _resumed(self, ref: RepoRef, *, build_only: bool) -> tuple[LaunchView, int] | None:
        shown = parse_event_id(self.web.secret, self.request.headers.get("Last-Event-ID", ""))
        if shown is None:
            return None
        try:
            launch = await self.web.launches.get(shown[1])
        except LaunchMissing:
            return None
        # A program without a login has the id alone to show; what a person began is that person's.
        asker = self.who.account if self.who else auth.STRANGER
        mine = launch.account.kind is Kind.ANONYMOUS or launch.account == asker
        same = (launch.ref, launch.build_only) == (ref, build_only)
        return (launch, shown[0]) if same and mine else None


@dataclass(frozen=True, slots=True)
class Entrance:
    """The way into the session of a launch, for one visitor."""

    web: Web
    launch: LaunchView
    address: str
    visitor: str

    async def ready(self, event: Event) -> Fields:
        """What `ready` carries; the token is minted now and kept nowhere."""
        if not isinstance(event, Ready):
            raise TypeError(event)
        try:
            view = await self.web.projects.get(event.project)
            project = view.project if view else None
            token = await self.web.sessions.token_for(project) if project and project.token_entry else ""
        except LauncherError as error:
            return binder_fields(explain.explain(error, Stage.SESSION))
        path = event.path if event.path.endswith("/") else event.path + "/"
        links = _links(self.launch, project) if project else {}
        return {
            **binder_fields(event),
            "url": urljoin(self.address, self.web.session_address(path)),
            "token": token,
            "image": event.image,
            "binder_launch_host": f"{self.address}/",
            "binder_client_ip": self.visitor,
            **links,
        }


def _links(launch: LaunchView, project: Project) -> Fields:
    ref = launch.ref
    repository = ref.spec.removesuffix("/" + quote(ref.ref or "HEAD", safe="/"))
    web_url = project.url.removesuffix(".git")
    between = REF_PATHS.get(ref.provider)
    request = f"v2/{ref.provider}/{ref.spec}"
    return {
        "repo_url": project.url,
        "binder_ref_url": f"{web_url}{between}{project.commit}" if between else project.url,
        "binder_request": request,
        # The commit of a record is known here alone.
        "binder_persistent_request": (
            request if ref.spec == repository else f"v2/{ref.provider}/{repository}/{project.commit}"
        ),
    }


def _ready_after_a_build(told: Told) -> bool:
    """Whether the log shows a build and ended well; one that is too long to be in memory shows one."""
    built, after = False, 0
    while found := told.recent(after):
        built = built or any(getattr(one.event, "stage", None) is Stage.BUILD for one in found)
        if isinstance(found[-1].event, Ready):
            return built
        after = found[-1].n
    return found is None


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/build/{provider}/{spec}",
        Build,
        (
            Operation(
                "GET",
                "Launch a link and follow it, in BinderHub's event format. Without a login: a temporary project, "
                "entered by the token in `ready`. Errors are events too.",
                EVENTS,
                headers=(("Accept", "Must name text/event-stream."), LAST_ID),
                query=(("build_only", "`true`: end with the image, start no session; `ready` has `imageName`."),),
            ),
        ),
    ),
)
