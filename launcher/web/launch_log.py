"""The record of launches: a line of JSON for each that ended, and one for each session as BinderHub's event log has it.

Events say what metrics cannot: which repository, at which commit, at what time. No line holds a name, a network
address or a token. BinderHub's lines, which sites publish, are of what everybody may have alone.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from launcher.events import Cancelled, Failed, Ready
from launcher.web.binder_metrics import PROVIDERS
from launcher.web.counting import everybodys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.events import Event
    from launcher.model import Image, Session
    from launcher.store.launches import Launch
    from launcher.web.metrics import Metrics, Outcome

log = logging.getLogger(__name__)

FILE: Final = "launches.jsonl"
MOST_BYTES: Final = 10 * 2**20
FILES: Final = 5
"""As the parts' logs are kept (`launcher/operate/logs.py`)."""
WAITING: Final = 10_000
"""Launches of which is remembered how they were asked for, at most."""

_OUTCOMES: Final[dict[type[Event], Outcome]] = {Ready: "ready", Failed: "failed", Cancelled: "cancelled"}
_TEXT: Final = {"type": "string"}
NEWER: Final = PROVIDERS["swh"]
"""A provider that BinderHub's schema does not know: what checks lines by it would refuse them."""
_CAPSULE: Final = {
    "timestamp": {**_TEXT, "description": "When the launch ended, UTC."},
    "schema": {**_TEXT, "description": "The name above."},
    "version": {"type": "integer", "description": "The schema's."},
}
BINDER: Final[dict[str, Any]] = {
    "$id": "binderhub.jupyter.org/launch",
    "version": 6,
    "description": "A session of a repository that everybody may have was started.",
    "type": "object",
    "properties": {
        **_CAPSULE,
        "provider": {
            "enum": [name for name in PROVIDERS.values() if name != NEWER],
            "description": "Where the repository lies; a launch from elsewhere has no such line.",
        },
        "spec": {**_TEXT, "description": "What follows the provider in the launch link."},
        "ref": {**_TEXT, "description": "The commit that was launched."},
        "status": {"enum": ["success", "failure"], "description": "Always `success`, as with BinderHub."},
        "build_token": {"type": "boolean", "description": "Whether the launch came with a build token."},
        "origin": {**_TEXT, "description": "The host that was asked."},
        "request_origin": {
            **_TEXT,
            "description": "The site whose page asked (`Origin`); else what the browser says of it (`Sec-Fetch-Site`: "
            "`same-origin` is a page of our own); empty: a program.",
        },
    },
}
"""BinderHub's schema, version 6: its event-schemas/launch.json, what builder.py puts there, and events.py around it."""
OWN: Final[dict[str, Any]] = {
    "$id": "repolaunch/launch",
    "version": 1,
    "description": "A launch ended.",
    "type": "object",
    "properties": {
        **_CAPSULE,
        "launch": {**_TEXT, "description": "The launch's id, as in the launcher's log and in the API."},
        "outcome": {"enum": ["ready", "failed", "cancelled"], "description": "How it ended."},
        "code": {**_TEXT, "description": "Of the error, where it failed ([errors](errors.md))."},
        "stage": {**_TEXT, "description": "Where it failed; empty: between two stages, or not at all."},
        "provider": {**_TEXT, "description": "As in the launch link."},
        "spec": {**_TEXT, "description": "What follows the provider in the launch link."},
        "public": {
            "type": ["boolean", "null"],
            "description": "Whether everybody may have the repository; null: that was not found out.",
        },
        "commit": {**_TEXT, "description": "What was launched, where a session was started."},
        "image": {**_TEXT, "description": "What the session started from."},
        "pinning": {**_TEXT, "description": "How firmly its environment is pinned."},
        "kind": {**_TEXT, "description": "Who asked: `guest`, `member`, `operator`, or `anonymous` (a program)."},
        "build_only": {"type": "boolean", "description": "Whether only an image was asked for."},
        "afresh": {"type": "boolean", "description": "Whether it was to be built again."},
        "seconds": {"type": "number", "description": "From the click to the end."},
    },
}
"""Ours."""
for _schema in (BINDER, OWN):
    _schema["required"] = list(_schema["properties"])
    _schema["additionalProperties"] = False


@dataclass(frozen=True, slots=True)
class Asking:
    """How a launch was asked for: by which host's address, from which site's page, with a build token."""

    host: str = ""
    origin: str = ""
    build_token: bool = False


class LaunchLog:
    """Writes the lines."""

    def __init__(self, write: Callable[[str], None], public_url: str = "") -> None:
        """`write` is given a line without its end."""
        self._write, self._host = write, urlsplit(public_url).netloc
        self._asked: dict[str, Asking] = {}

    def asked(self, launch: str, asking: Asking) -> None:
        """A launch was asked for; what a restart forgets."""
        if len(self._asked) < WAITING:
            self._asked.setdefault(launch, asking)

    def ended(self, launch: Launch, event: Event, *, public: bool | None) -> None:
        """A launch ended with this event."""
        asking = self._asked.pop(launch.id, Asking())
        when = datetime.fromtimestamp(launch.ended or 0, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._put(OWN, when, _own(launch, event, public))
        known = PROVIDERS[launch.ref.provider] != NEWER
        if isinstance(event, Ready) and event.project and public and known:
            self._put(
                BINDER,
                when,
                {
                    "provider": PROVIDERS[launch.ref.provider],
                    "spec": launch.ref.spec,
                    "ref": launch.commit or "",
                    "status": "success",
                    "build_token": asking.build_token,
                    "origin": self._host or asking.host,
                    "request_origin": asking.origin,
                },
            )

    def _put(self, schema: dict[str, Any], when: str, facts: dict[str, object]) -> None:
        self._write(json.dumps({"timestamp": when, "schema": schema["$id"], "version": schema["version"], **facts}))


def _own(launch: Launch, event: Event, public: bool | None) -> dict[str, object]:
    return {
        "launch": launch.id,
        "outcome": _OUTCOMES[type(event)],
        "code": event.code if isinstance(event, Failed) else "",
        "stage": event.stage.value if isinstance(event, Failed) and event.stage else "",
        "provider": launch.ref.provider,
        "spec": launch.ref.spec,
        "public": public,
        "commit": launch.commit or "",
        "image": event.image if isinstance(event, Ready) else "",
        "pinning": event.pinning if isinstance(event, Ready) else "",
        "kind": launch.account.kind.value,
        "build_only": launch.build_only,
        "afresh": launch.afresh,
        "seconds": round((launch.ended or 0) - launch.created, 3),
    }


class LaunchEnds:
    """Counts and records every launch that ended."""

    def __init__(self, metrics: Metrics, launch_log: LaunchLog) -> None:
        """Where to."""
        self._metrics, self._log = metrics, launch_log

    def __call__(self, launch: Launch, event: Event, made: Session | Image | None) -> None:
        """Called with what ended. Never raises: the launch has ended well or ill by itself."""
        try:
            code = event.code if isinstance(event, Failed) else ""
            self._metrics.launch_ended(_OUTCOMES[type(event)], code)
            found_out = None if made is None else everybodys(made)
            self._log.ended(launch, event, public=False if launch.private else found_out)
        except Exception:
            log.exception("launch %s ended, which could not be recorded", launch.id)


class Sink:
    """Where lines go."""

    def __init__(self, where: str, folder: Path) -> None:
        """`file`, below `folder`; `stdout`; or `off`."""
        self._handler: logging.Handler = logging.NullHandler()
        if where == "stdout":
            self._handler = logging.StreamHandler(sys.stdout)
        elif where == "file":
            self._handler = RotatingFileHandler(folder / FILE, maxBytes=MOST_BYTES, backupCount=FILES, delay=True)
        self._handler.handleError = _not_written  # type: ignore[method-assign,assignment]  # as its documentation has it

    def __call__(self, line: str) -> None:
        """Write a line."""
        self._handler.handle(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """No more lines come."""
        self._handler.close()


def _not_written(_: logging.LogRecord) -> None:
    log.warning("a launch could not be recorded: %s", sys.exc_info()[1])
