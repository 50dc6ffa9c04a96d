"""The hub's own pages that people meet: in the launcher's look, in the reader's language, each with a way back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from launcher.web import texts

if TYPE_CHECKING:
    from deploy.hub.notices import Notices

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


def speaking(namespace: property, notices: Notices) -> property:
    """What JupyterHub's templates know (`BaseHandler.template_namespace`), and what ours do."""

    def more(handler: Any) -> dict[str, Any]:
        return {**namespace.__get__(handler), **about(handler), "said": notices.banner}

    return property(more)


def about(handler: Any) -> dict[str, Any]:
    """What our templates know of a request. JupyterHub's own variables are given no handler."""
    language = language_of(handler)
    return {
        "language": language,
        "languages": texts.LANGUAGES,
        "t": partial(texts.text, language),
        "here": handler.request.uri if handler.request.method == "GET" else handler.base_url,
        "way_back": way_back(_asked(handler, "from"), handler.base_url),
    }


def language_of(handler: Any) -> str:
    """What the one who asks reads: the launcher's cookie, else what the browser says."""
    return texts.chosen(handler.get_cookie(texts.COOKIE, ""), handler.request.headers.get("Accept-Language", ""))


def _asked(handler: Any, name: str) -> str:
    """Never an error: pages that tell of one are made by this too."""
    given: bytes = (handler.request.query_arguments.get(name) or [b""])[-1]
    return given.decode("utf-8", "replace")


def way_back(asked: str, prefix: str) -> str:
    """The launch link that led to the login; `""` for everything else. `prefix`: what the site's paths begin with."""
    plain = unquote(asked.partition("?")[0])
    bad = not asked.isprintable() or "\\" in asked or ".." in plain.split("/")
    return asked if asked.startswith(f"{prefix}v2/") and not bad else ""


def unguarded(public_url: str) -> bool:
    """Whether what is typed here can be read on its way."""
    parts = urlsplit(public_url)
    return parts.scheme != "https" and (parts.hostname or "") not in LOOPBACK_NAMES
