"""The one module that speaks: errors' facts become sentences for people.

`ROWS` is the whole vocabulary. `docs/reference/errors.md` and the page `/docs/errors` are made from it.
Texts are plain and short; none carries a traceback, a path of the host, a credential or a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.model import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.model import Stage

ERRORS_PAGE: Final = "/docs/errors"
_LONGEST: Final = 500
"""Characters of one fact (of one line, where a fact has lines) that are shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of error is told. `{name}` in a text is the error's fact of that name."""

    code: str
    status: int
    """HTTP status."""
    title: str
    seen: str
    todo: str
    more: tuple[tuple[str, str], ...] = ()
    """(fact, text): the text follows `seen` where the fact is not empty."""


ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    # ---- links
    errors.UnknownProvider: Row(
        "unknown-provider",
        400,
        "Unknown provider",
        "The link names the provider “{provider}”.",
        "Use one of: {known}.",
    ),
    errors.BadSpec: Row(
        "bad-spec",
        400,
        "The link does not have the form of its provider",
        "For the provider “{provider}” the link says “{spec}”: {reason}.",
        "Write it as {form}.",
    ),
    errors.BadUrl: Row(
        "bad-url",
        400,
        "This is not the address of a repository",
        "The address is “{url}”: {reason}.",
        "Give the address that `git clone` would take, for example https://example.org/group/name.git.",
    ),
    errors.BadRef: Row(
        "bad-ref",
        400,
        "This cannot be a branch, tag or commit",
        "The reference is “{ref}”: {reason}.",
        "Give the name of a branch or tag, or a commit's id.",
    ),
    errors.ProtocolRefused: Row(
        "protocol-refused",
        400,
        "This protocol is not allowed",
        "The address “{url}” uses {protocol}.",
        "Use one of: {allowed}.",
    ),
    errors.AddressRefused: Row(
        "address-refused",
        403,
        "This address is not open to launches",
        "{host} leads to a {kind} address.",
        "Use a repository on a public server, or ask the operator to list its network in `allowed_networks`.",
        (("via", "{via} redirects there."),),
    ),
    # ---- repositories
    errors.HostUnreachable: Row(
        "host-unreachable",
        502,
        "The git server does not answer",
        "Asking {url} failed: {reason}.",
        "Check the address. If it is right, try again later.",
    ),
    errors.RepositoryMissing: Row(
        "repository-missing",
        404,
        "There is no such repository",
        "The server of {url} says that it has no such repository, or none that is public.",
        "Check the spelling, and that the repository is public.",
    ),
    errors.RepositoryPrivate: Row(
        "repository-private",
        403,
        "The repository is private",
        "The server of {url} asks for a login.",
        "Make the repository public, or use one that is.",
    ),
    errors.RefMissing: Row(
        "ref-missing",
        404,
        "There is no such branch, tag or commit",
        "{url} has no branch, tag or commit that is called exactly “{ref}”.",
        "Correct the reference, or leave it out to get the repository's default branch.",
        (("similar", "It has: {similar}."),),
    ),
    errors.RefAmbiguous: Row(
        "ref-ambiguous",
        400,
        "The reference means more than one thing",
        "In {url}, “{ref}” is: {candidates}.",
        "Write one of these in full.",
    ),
    errors.RepositoryTooLarge: Row(
        "repository-too-large",
        413,
        "The repository is too large",
        "Fetching {url} passed the limit of {limit} {what}.",
        "Make the repository smaller, or ask the operator to raise the limit.",
    ),
    errors.CheckoutRefused: Row(
        "checkout-refused",
        422,
        "The repository's files cannot be used",
        "In {url}, “{path}” is refused: {reason}.",
        "Remove or rename the file in the repository.",
    ),
    errors.SubmoduleFailed: Row(
        "submodule-failed",
        422,
        "A submodule cannot be had",
        "In {url}, the submodule “{path}” cannot be had. {cause}",
        "Correct or remove it in `.gitmodules`. A network that is not open is the operator's to open.",
    ),
    errors.LfsFailed: Row(
        "lfs-failed",
        422,
        "A large file cannot be had",
        "In {url}, the Git LFS file “{path}” cannot be had. {cause}",
        "Push it to its server (`git lfs push --all`), or correct `.lfsconfig`. "
        "A network that is not open is the operator's to open.",
    ),
    # ---- environments and builds
    errors.EnvironmentConflict: Row(
        "environment-conflict",
        422,
        "The repository declares more than one environment",
        "It has: {found}.",
        "Keep one of them and remove the others.",
    ),
    errors.EnvironmentMissing: Row(
        "environment-missing",
        422,
        "The repository declares no environment",
        "None of these is there: {looked_for}.",
        "Add one of them to the repository.",
    ),
    errors.EnvironmentBroken: Row(
        "environment-broken",
        422,
        "The environment cannot be read",
        "“{path}”: {reason}.",
        "Correct the file in the repository.",
    ),
    errors.BuildFailed: Row(
        "build-failed",
        422,
        "The build failed",
        "{builder} ended with status {status}.",
        "Correct what the last lines complain about in the repository; the log has every line.",
        (("step", "Step: {step}"), ("tail", "Its last lines:\n{tail}")),
    ),
    errors.BaseImageMissing: Row(
        "base-image-missing",
        422,
        "The base image cannot be had",
        "The environment builds on the image “{image}”, which does not exist or cannot be reached from here.",
        "Correct its name in the repository, or ask the operator which images can be used.",
    ),
    errors.BuildTimeout: Row(
        "build-timeout",
        504,
        "The build took too long",
        "It was stopped after {seconds} seconds.",
        "Make the environment smaller, or ask the operator to raise `build_timeout_s`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildOutOfMemory: Row(
        "build-out-of-memory",
        422,
        "The build ran out of memory",
        "Its steps may use {bytes} of memory together, and wanted more.",
        "Let the step do less at a time (fewer parallel jobs, smaller downloads), or ask the operator to raise "
        "`build_memory`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildTooManyProcesses: Row(
        "build-too-many-processes",
        422,
        "The build started too many processes",
        "Its steps may have {processes} processes and threads at one time, and wanted more.",
        "Let the step do less at a time (fewer parallel jobs), or ask the operator to raise `build_processes`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildDiskFull: Row(
        "build-disk-full",
        422,
        "The build wrote too much",
        "Its steps may write {bytes}, and wrote more.",
        "Make the environment smaller, remove what a step downloads in the same step, or ask the operator to raise "
        "`build_disk`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildLogTooLong: Row(
        "build-log-too-long",
        422,
        "The build printed too much",
        "It was stopped after {bytes} of output.",
        "Let the step print less (`--quiet`, or its output into a file).",
        (("step", "Step: {step}"),),
    ),
    errors.BuildAddressClosed: Row(
        "build-address-closed",
        403,
        "The build asked for an address that is closed to builds",
        "It asked {address}, which is not an address of the public internet.",
        "Use a public address in the Dockerfile, or ask the operator to list the network in `egress_allowed_networks`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildBroken: Row(
        "build-broken",
        500,
        "The build was interrupted",
        "The builder itself broke: {reason}.",
        "Launch again. If it happens again, tell the operator.",
    ),
    errors.EngineDown: Row(
        "engine-down",
        503,
        "The container engine does not answer",
        "{reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    errors.RegistryDown: Row(
        "registry-down",
        503,
        "The image registry does not answer",
        "Asking {registry} failed: {reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    errors.ServerMissing: Row(
        "server-missing",
        422,
        "The image has no notebook server",
        "No single-user server is on the image's PATH ({path}).",
        "Install `jupyterhub` and `jupyterlab` in the environment.",
    ),
    errors.UserUnfit: Row(
        "user-unfit",
        422,
        "The image cannot run as an ordinary user",
        "As user 1000: {reason}.",
        "Let the image's files be readable, and its programs runnable, by the user with id 1000.",
    ),
    errors.VolumeUnfit: Row(
        "volume-unfit",
        422,
        "The image declares a volume that no session can have",
        "The volume “{volume}” {reason}.",
        "Remove that `VOLUME` from the Dockerfile; where the image that it builds on declares it, use another one.",
    ),
    # ---- projects and sessions
    errors.WorkspaceFailed: Row(
        "workspace-failed",
        500,
        "The workspace could not be made",
        "{reason}. Nothing half-made was left.",
        "Launch again. If it happens again, tell the operator.",
    ),
    errors.HubDown: Row(
        "hub-down",
        503,
        "JupyterHub does not answer",
        "{reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    errors.SpawnRefused: Row(
        "spawn-refused",
        403,
        "The session was refused",
        "{reason}.",
        "If you should have it, ask the operator.",
    ),
    errors.SpawnFailed: Row(
        "spawn-failed",
        500,
        "The session did not start",
        "{reason}.",
        "Launch again. If it happens again, look at what the environment installs, or tell the operator.",
        (("tail", "Its last lines:\n{tail}"),),
    ),
    errors.SpawnTimeout: Row(
        "spawn-timeout",
        504,
        "The session did not start in time",
        "It did not answer within {seconds} seconds.",
        "Launch again. If it happens again, ask the operator to raise `session_start_timeout_s`.",
    ),
    # ---- room
    errors.DiskLow: Row(
        "disk-low",
        507,
        "There is too little room on this server",
        "The disk of the {place} has {free} free; a new launch begins only with {floor} or more.",
        "Try again later: links that you have opened before still lead to your files. "
        "Operators: make room; `repolaunch doctor` shows where.",
    ),
    errors.DiskFull: Row(
        "disk-full",
        507,
        "A disk of this server is full",
        "There is no room left on the disk of the {place}. What was saved before is kept.",
        "Try again later. Operators: make room; `repolaunch doctor` shows where.",
        (("step", "Step: {step}"), ("tail", "Its last lines:\n{tail}")),
    ),
    errors.DatabaseDown: Row(
        "database-down",
        503,
        "The database does not answer",
        "{reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    # ---- asking
    errors.LaunchMissing: Row(
        "launch-missing",
        404,
        "There is no such launch",
        "No launch that you may see is called “{id}”.",
        "Open the link again to start one.",
    ),
    errors.ProjectMissing: Row(
        "project-missing",
        404,
        "There is no such project",
        "No project that you may see is called “{id}”.",
        "Check the address, or open the link that made the project.",
    ),
    errors.LoginRequired: Row(
        "login-required",
        401,
        "Please log in",
        "It is not known who asks.",
        "Open {login} in a browser. Programs: send the header `Authorization: token …`.",
    ),
    errors.Forbidden: Row(
        "forbidden",
        403,
        "You may not do this",
        "Your account may not {what}.",
        "Log in with another account, or ask the project's owner.",
    ),
    errors.BadRequest: Row(
        "bad-request",
        400,
        "The request cannot be understood",
        "{where}: {seen}",
        "Expected: {form}.",
    ),
    errors.TooOften: Row(
        "too-often",
        429,
        "Too many people at once",
        "{what} within ten minutes, and no more for now.",
        "Wait {seconds} seconds and try again. Whoever signs in is not counted.",
    ),
    errors.BodyTooLarge: Row(
        "body-too-large",
        413,
        "The request is too large",
        "Its body has more than {limit} bytes.",
        "Send less: nothing that this service takes is so long.",
    ),
    errors.Stopped: Row(
        "stopped",
        409,
        "The launch was stopped",
        "It was stopped by {by}.",
        "Launch again.",
    ),
}

INTERNAL: Final = Row(
    "internal",
    500,
    "Something went wrong here",
    "The launcher met an error that it does not know. It is in the launcher's log.",
    "Try again. If it happens again, tell the operator the time at which it happened.",
)
"""What is told of an exception that is not a LauncherError; its own text is never shown."""

PAGE_MISSING: Final = Row(
    "page-missing",
    404,
    "There is no such page",
    "Nothing is at this address.",
    "Check the address, or begin at the home page.",
)
METHOD_REFUSED: Final = Row(
    "method-refused",
    405,
    "This address does not take such a request",
    "The request's method is not one that this address knows.",
    "The reference of the HTTP API lists the methods of every address.",
)
REQUEST_REFUSED: Final = Row(
    "request-refused",
    400,
    "The request cannot be understood",
    "It does not have the form of an HTTP request to this address.",
    "Check the address and the headers.",
)
LENGTH_MISSING: Final = Row(
    "length-missing",
    411,
    "The request does not say how long it is",
    "Its body is sent in chunks, which only a session takes.",
    "Send it in one piece, with a Content-Length.",
)
SESSION_STOPPED: Final = Row(
    "session-stopped",
    503,
    "This session has stopped",
    "No server is running at this address.",
    "Start it again: its files are as they were saved.",
)
PART_AWAY: Final = Row(
    "part-away",
    503,
    "This part of the service does not answer",
    "What is at this address is being started, or has just ended.",
    "Try again in a minute. Operators: run `repolaunch doctor`.",
)
RECONNECTING: Final = Row(
    "reconnecting",
    503,
    "Reconnecting",
    "The part of the service that knows who people are is being started again.",
    "Wait: this is asked again by itself. Kernels go on, and files are as they were saved.",
)
"""Said by the proxy itself (deploy/proxy/reconnecting.mjs), as is PART_AWAY while the launcher is away."""
FRONTEND_MISSING: Final = Row(
    "frontend-missing",
    503,
    "The pages are not built",
    "The launcher runs, but its pages have not been built on this machine.",
    "Operators: run `make setup`, then start the service again.",
)
SPOKEN: Final = (
    INTERNAL,
    PAGE_MISSING,
    METHOD_REFUSED,
    REQUEST_REFUSED,
    LENGTH_MISSING,
    SESSION_STOPPED,
    PART_AWAY,
    RECONNECTING,
    FRONTEND_MISSING,
)
"""The rows that tell of no LauncherError."""

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: str) -> str:
    """Without credentials in URLs, control characters and marks that turn text around; not endless."""
    text = _CONTROL.sub("\ufffd", _CREDENTIALS.sub("", text))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _fact(name: str, value: object) -> str:
    if isinstance(value, errors.LauncherError):
        return explain(value).seen
    if isinstance(value, tuple):
        between = "\n" if name == "tail" else ", "
        return between.join(plain(str(one)) for one in value)
    if name == "bytes" and isinstance(value, int):
        return _size(value)
    # A reason ends a sentence, whose full stop is the row's; in all others a dot may mean something.
    return plain(str(value).rstrip(". \n") if name == "reason" else str(value))


def _size(count: int) -> str:
    """A number of bytes as people say it."""
    size, unit = float(count), "bytes"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:  # noqa: PLR2004  # a unit has 1024 of the next smaller
            break
        size, unit = size / 1024, bigger
    return f"{size:.1f}".removesuffix(".0") + f" {unit}"


def row_of(error: BaseException) -> Row:
    """The row of the error's class, else of its nearest parent that has one, else INTERNAL."""
    for one in type(error).__mro__:
        if one in ROWS:
            return ROWS[one]
    return INTERNAL


def say(row: Row, status: int | None = None) -> Failed:
    """One of SPOKEN; `status` where it is told with another HTTP status than its own."""
    link = f"{ERRORS_PAGE}#{row.code}"
    return Failed(None, row.code, status or row.status, row.title, row.seen, row.todo, link)


def explain(error: BaseException, stage: Stage | None = None) -> Failed:
    """Say what went wrong, in `stage` if it was in one. Never raises; unknown exceptions keep their text."""
    row = row_of(error)
    facts = {} if row is INTERNAL else {name: _fact(name, value) for name, value in vars(error).items()}
    parts = [row.seen, *(text for name, text in row.more if facts.get(name))]
    if row.seen.startswith("{reason}") and facts["reason"]:
        facts["reason"] = facts["reason"][0].upper() + facts["reason"][1:]
    return Failed(
        stage=stage,
        code=row.code,
        status=row.status,
        title=row.title,
        seen="\n".join(part.format_map(facts) for part in parts),
        todo=row.todo.format_map(facts),
        link=f"{ERRORS_PAGE}#{row.code}",
    )
