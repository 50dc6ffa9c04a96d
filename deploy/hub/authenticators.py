"""Who may sign in: any JupyterHub authenticator, kept away from the names of projects, guests and services."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from jupyterhub.utils import url_path_join
from tornado.httputil import url_concat
from tornado.web import HTTPError

from deploy.hub.accounts import ProjectAccountHandler
from deploy.hub.names import GUEST_PREFIX, is_guest, is_reserved
from deploy.hub.pages import language_of
from launcher.errors import TooOften
from launcher.explain import explain, speak
from launcher.rates import Rates, of_this_machine, visitor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from deploy.hub.settings import HubSettings

log = logging.getLogger(__name__)
LOGOUT = r"/logout"


@dataclass(frozen=True, slots=True)
class Door:
    """Whether `/hub/guest` admits anybody, and how often."""

    opened: bool
    per_address: Rates
    in_all: Rates
    trusted: tuple[str, ...] = ()

    def enter(self, address: str) -> None:
        """Count a new guest from this address. Raises TooOften."""
        for rates, key, whose in ((self.per_address, address, "Your network address"), (self.in_all, "", "This site")):
            if seconds := rates.wait_s(key):
                raise TooOften(f"{whose} may bring {rates.limit} new guests", seconds)
        self.per_address.count(address)
        self.in_all.count()


def door(settings: HubSettings, clock: Callable[[], float] = time.monotonic) -> Door:
    """As the operator opened it."""
    per_address, in_all = (Rates(int(one), clock) for one in (settings.guests_per_address, settings.guests_in_all))
    return Door(settings.guests == "1", per_address, in_all, settings.trusted)


class GuestHandler(BaseHandler):  # type: ignore[misc]  # jupyterhub has no types
    """`/hub/guest?next=…`: make whoever is nobody yet a guest, and go on to a page of this site."""

    async def get(self) -> None:
        """Never replaces a login that exists; where guests are not admitted, leads to the login page."""
        user = self.current_user
        if user is None and not self.authenticator.door.opened:
            login = url_path_join(self.hub.base_url, "login")
            self.redirect(url_concat(login, {"next": self.get_argument("next", "")}))
            return
        if user is None and self.request.headers.get("Sec-Fetch-Dest", "document") != "document":
            # Else images and frames of another site would make guests whom nobody is, and use up a visitor's limit.
            raise HTTPError(403, "A guest comes by opening a page.")
        if user is None:
            try:
                self.authenticator.door.enter(self._address)
            except TooOften as error:
                await self._refuse(error)
                return
            name = GUEST_PREFIX + secrets.token_hex(6)
            user = await self.auth_to_user({"name": name, "admin": False, "groups": []})
            self.set_login_cookie(user)
        self.redirect(self.get_next_url(user))

    @property
    def _address(self) -> str:
        request = self.request
        peer = str(request.connection.context.address[0])  # remote_ip is what somebody said
        trusted = self.authenticator.door.trusted
        # Our proxy asks from this machine, by whatever address the kernel chose; a session asks from its own.
        believed = (*trusted, peer) if of_this_machine(peer) else trusted
        return visitor(peer, request.headers.get("X-Forwarded-For", ""), believed)

    async def _refuse(self, error: TooOften) -> None:
        told = speak(explain(error), language_of(self))
        self.set_status(told.status)
        self.set_header("Retry-After", str(error.seconds))
        names = {"status_code": told.status, "told_title": told.title, "message": told.seen, "told_todo": told.todo}
        self.finish(await self.render_template("error.html", **names))


class SigninHandler(LoginHandler):  # type: ignore[misc]  # jupyterhub has no types
    """`/hub/signin?next=…`: the login page also for guests, whom `/hub/login` would only send on."""

    async def get(self) -> None:
        """Members go on to `next`; everybody else gets the login page, or the identity provider's."""
        user = self.current_user
        if user is not None and not is_guest(user.name):
            self.redirect(self.get_next_url(user))
            return
        login = self.authenticator.login_url(self.hub.base_url)
        if self.authenticator.auto_login and login != self.settings["login_url"]:
            self.redirect(url_concat(login, {"next": self.get_next_url()}))
            return
        self.finish(await self._render())


class OwnLogout:
    """Mixed into a handler of `/hub/logout`, which signs people out by a GET: only for a page of our own."""

    async def get(self) -> None:
        """A link, image or frame of another site leads to the hub's home page, which has a button."""
        handler: Any = self
        if asked_by_us(handler.request):
            await super().get()  # type: ignore[misc]
        else:
            handler.redirect(url_path_join(handler.hub.base_url, "home"))


def asked_by_us(request: Any) -> bool:
    """Whether a page of this very origin, or the address bar, made this request; browsers say so with TLS.

    Without it they say nothing, but our pages tell where one came from.
    """
    site = request.headers.get("Sec-Fetch-Site", "")
    if site:
        return site in {"same-origin", "none"}
    return bool(request.host) and urlsplit(request.headers.get("Referer", "")).netloc == request.host


class Guarded:
    """Mixed into an authenticator: refuses reserved names after everything the authenticator does to a name."""

    door: Door
    """Of `/hub/guest`."""

    async def get_authenticated_user(self, handler: Any, data: Any) -> Any:
        """As the authenticator says, but None for a name that belongs to a project, a guest or a service."""
        answer: Awaitable[Any] = super().get_authenticated_user(handler, data)  # type: ignore[misc]
        authenticated = await answer
        if authenticated and is_reserved(authenticated["name"]):
            log.warning("login refused: the name %r is reserved", authenticated["name"][:64])
            return None
        return authenticated

    async def refresh_user(self, user: Any, handler: Any = None) -> Any:
        """Guests have nothing that could be refreshed: they stay who they are."""
        if is_guest(user.name):
            return True
        answer: Awaitable[Any] = super().refresh_user(user, handler)  # type: ignore[misc]
        return await answer

    def get_handlers(self, app: Any) -> list[Any]:
        """Add `/hub/guest`, `/hub/signin` and projects' accounts; guard `/hub/logout`, the authenticator's own too."""
        own: list[Any] = super().get_handlers(app)  # type: ignore[misc]
        theirs = [handler for path, handler, *_ in own if path == LOGOUT]
        logout: type = type("Logout", (OwnLogout, theirs[0] if theirs else LogoutHandler), {})
        kept = [one for one in own if one[0] != LOGOUT]
        accounts = (r"/api/project-accounts/(project-[a-z][a-z0-9]{9})", ProjectAccountHandler)
        return [*kept, (LOGOUT, logout), (r"/guest", GuestHandler), (r"/signin", SigninHandler), accounts]


def find(name: str) -> type:
    """The authenticator called `name`: one that JupyterHub knows (`shared-password`, `pam`), or `module.Class`."""
    for entry in entry_points(group="jupyterhub.authenticators", name=name):
        found: type = entry.load()
        return found
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ValueError(f"There is no authenticator {name!r}: neither a name that JupyterHub knows nor module.Class.")
    dotted: type = getattr(import_module(module), attribute)
    return dotted


def guarded(authenticator: type, door: Door) -> type:
    """The same authenticator, kept away from reserved names. Configured by the original's name as before."""
    made: type = type(authenticator)(f"Guarded{authenticator.__name__}", (Guarded, authenticator), {"door": door})
    return made
