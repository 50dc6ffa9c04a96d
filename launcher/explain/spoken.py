"""What is told though no LauncherError was met: wrong addresses, parts that are away."""

from __future__ import annotations

from typing import Final

from launcher.explain.row import Row

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
