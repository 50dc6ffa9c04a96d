"""The headers of every answer: what browsers may do with it."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

    from launcher.web.context import Web

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), payment=(), "
    "serial=(), usb=()",
    "Cache-Control": "no-store",
}
OWN_ONLY = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
ANY_SITE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "accept, authorization, cache-control, last-event-id",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def headers_of(web: Web) -> dict[str, str]:
    """What every answer of this site carries besides: with TLS, browsers are told to stay there.

    Below a wildcard domain every name is ours, and meant too.
    """
    if not web.public_url.startswith("https:"):
        return {}
    return {"Strict-Transport-Security": "max-age=31536000" + ("; includeSubDomains" if web.wildcard else "")}


def allowing(script: Markup) -> str:
    """The content security policy of a page with this one script in it."""
    digest = base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()
    return CSP.replace("script-src 'self'", f"script-src 'self' 'sha256-{digest}'")
