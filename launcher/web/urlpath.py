"""Where in a session a link arrives: checked once, at the border."""

from __future__ import annotations

from urllib.parse import unquote

from launcher.errors import BadRequest


def checked_urlpath(text: str) -> str:
    """Where in a session to arrive, without a leading slash. Raises BadRequest if it could lead elsewhere."""
    path, _, _ = text.partition("?")
    parts = unquote(unquote(path.partition("#")[0])).split("/")
    if not text.isprintable() or "\\" in unquote(text) or ".." in parts:
        raise BadRequest("urlpath", f"It is “{text}”.", "a path inside the session: lab/tree/index.ipynb")
    return text.lstrip("/")
