"""Who asks: the operator's token, a hub token, or the login cookie, in this order.

The login cookie lies on `/api/` and `/build/` only, so that no session at `/user/…` is ever sent it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlencode, urlsplit

from launcher.errors import LoginRequired, NotFromOurPage
from launcher.model import Account, Kind

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest
    from tornado.web import RequestHandler

    from launcher.web.context import Web

COOKIES: Final = {"/api/": "repolaunch-login", "/build/": "repolaunch-build-login"}
"""Path → the login cookie that lies there: tornado sets a name once in an answer, so there are two names."""
HOST_COOKIES: Final = {"/": "__Host-repolaunch-login"}
"""The same where no session shares our host. Browsers take this name from the host itself over TLS alone: a session
at a name below could else leave its own login in somebody's browser."""
COOKIE_DAYS: Final = 14
OPERATOR: Final = Account("operator", Kind.OPERATOR)
STRANGER: Final = Account("", Kind.ANONYMOUS)
XSRF_FIELD: Final = "_xsrf"
"""Of a form that no script sends."""
SAFE: Final = {"GET", "HEAD", "OPTIONS"}
_HEADER = re.compile(r"(?:token|bearer)\s+(\S+)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks; `cookie` is the login token where it came by cookie, else `""`."""

    account: Account
    cookie: str = ""


def same(one: str, other: str) -> bool:
    """Compare secrets in constant time; an empty one equals nothing."""
    return bool(other) and hmac.compare_digest(one.encode(), other.encode())


def sign(secret: bytes, purpose: str, text: str) -> str:
    """A signature of `text` that is good for this purpose only: 32 hexadecimal digits."""
    return hmac.new(secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()[:32]


def xsrf_token(secret: bytes, cookie: str) -> str:
    """What a page must send in `X-XSRFToken` with every request of this login that changes something."""
    return sign(secret, "xsrf", cookie)


def login_url(base: str, next_page: str = "/", *, as_member: bool = False) -> str:
    """Where a browser logs in and comes back. `base`: what the site's paths begin with."""
    asked = {"next": local_page(next_page, base)} | ({"as": "member"} if as_member else {})
    return f"{base}/api/v1/login?{urlencode(asked)}"


def local_page(address: str, base: str = "") -> str:
    """The address if it is a path of this site, else the site's first page."""
    parts = urlsplit(address) if len(address) <= 2000 and address.isprintable() else None  # noqa: PLR2004
    bad = parts is None or parts.scheme or parts.netloc or not address.startswith(f"{base}/")
    # Browsers take `/x/../y` for `/y`, which may be beside this site's path.
    climbs = bool({".", ".."} & set(unquote(address.partition("?")[0].partition("#")[0]).split("/")))
    return f"{base}/" if bad or climbs or address.startswith("//") or "\\" in address else address


def cookies_count(request: HTTPServerRequest) -> bool:
    """Say whether this request's cookies speak for the person: not if a page of another site made it.

    Sessions may live on subdomains, so another subdomain is another site here. A link that is followed
    (`navigate`) counts for what only reads. Browsers say nothing (`""`) to an address without TLS and name: what
    changes something needs the XSRF token there as everywhere.
    """
    site = request.headers.get("Sec-Fetch-Site", "")
    if request.path.startswith("/build/"):  # a GET that starts something: a browser has to say that our page asks
        return site == "same-origin"
    followed = request.headers.get("Sec-Fetch-Mode", "") == "navigate" and request.method in SAFE
    return site in {"same-origin", "none", ""} or followed


def cookies(web: Web) -> dict[str, str]:
    """Path → the login cookie that lies there."""
    if web.wildcard and web.public_url.startswith("https:"):
        return HOST_COOKIES
    return {web.base + path: name for path, name in COOKIES.items()}


def operator_asks(request: HTTPServerRequest, web: Web) -> bool:
    """Whether a request shows the operator's token; nobody else is asked who that is."""
    shown = _HEADER.fullmatch(request.headers.get("Authorization", ""))
    return shown is not None and same(shown[1], web.operator_token)


async def identify(handler: RequestHandler, web: Web) -> Who | None:
    """Find out who asks; None: unknown. A token that is not good is never replaced by a cookie. Raises HubDown."""
    if operator_asks(handler.request, web):
        return Who(OPERATOR)
    header = handler.request.headers.get("Authorization", "")
    shown = _HEADER.fullmatch(header)
    if shown:
        account = await web.hub.identify(shown[1])
        if account is None:
            raise LoginRequired(login_url(web.base))
        return Who(account)
    if not cookies_count(handler.request):
        return None
    here = web.base + handler.request.path
    name = next((name for path, name in cookies(web).items() if here.startswith(path)), "")
    cookie = (handler.get_signed_cookie(name, max_age_days=COOKIE_DAYS) or b"").decode("utf-8", "replace")
    account = await web.hub.identify(cookie) if cookie else None
    return Who(account, cookie) if account else None


def check_xsrf(request: HTTPServerRequest, web: Web, who: Who) -> None:
    """Refuse a request that changes something by cookie alone. Raises Forbidden."""
    if request.method in SAFE or not who.cookie:
        return
    field = (request.body_arguments.get(XSRF_FIELD) or [b""])[-1].decode("utf-8", "replace")
    if not same(request.headers.get("X-XSRFToken", field), xsrf_token(web.secret, who.cookie)):
        raise NotFromOurPage("change anything from a page that does not send the login's `X-XSRFToken`")


def forget_login(handler: RequestHandler, web: Web, *, secure: bool) -> None:
    """Take it out of the browser again."""
    for path, name in cookies(web).items():
        handler.clear_cookie(name, path=path, httponly=True, secure=secure, samesite="Lax")


def set_login(handler: RequestHandler, web: Web, token: str, *, secure: bool) -> None:
    """Keep the hub's access token in the browser, for the paths that need it."""
    for path, name in cookies(web).items():
        handler.set_signed_cookie(name, token, COOKIE_DAYS, path=path, httponly=True, secure=secure, samesite="Lax")
