"""Which pages of other sites may read an answer: those on the operator's list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANYBODY: Final = "*"
ASKED: Final = "accept, authorization, cache-control, last-event-id, x-xsrftoken"
"""What BinderHub's clients send: its own one adds `X-XSRFToken` where the page has a cookie of that name."""
TOLD: Final = "retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset"
LONGEST: Final = 200
"""Characters of what a browser says of where it asks from, as far as they are kept."""


def asked_from(sent: Mapping[str, str]) -> str:
    """Where a request came from, in BinderHub's words: a site, else what the browser says of it; `""`: a program.

    Its own pages ask with GET, where browsers say no `Origin`; ours with POST, where they do.
    """
    site = sent.get("Sec-Fetch-Site", "")
    return (site if site == "same-origin" else sent.get("Origin", site))[:LONGEST]


def headers(listed: Sequence[str], origin: str) -> Mapping[str, str]:
    """What is answered to a page of `origin` (`""`: no browser said one). Never with cookies."""
    allowed = ANYBODY if ANYBODY in listed else origin if origin.lower() in listed else ""
    if not allowed:
        return {"Vary": "Origin", "Cross-Origin-Resource-Policy": "same-origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Allow-Headers": ASKED,
        "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
        "Access-Control-Expose-Headers": TOLD,
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
