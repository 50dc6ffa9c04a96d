"""What all handlers share: who asks, headers, JSON in and out, and errors that are told."""

from __future__ import annotations

import json
import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ValidationError
from tornado.web import HTTPError, RequestHandler

from builders.logs import LAUNCH, LAUNCH_ID
from launcher import explain
from launcher.errors import BadRequest, BodyTooLarge, LauncherError, LoginRequired, RetryLater
from launcher.model import Kind
from launcher.rates import address_of, visitor
from launcher.web import auth, origins, texts
from launcher.web.headers import ANY_SITE, HEADERS, OWN_ONLY
from launcher.web.launch_log import Asking
from launcher.web.telling import as_json, told_of

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from launcher.model import Account, RepoRef
    from launcher.rates import Standing
    from launcher.web.context import Web
    from launcher.web.views import LaunchView

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

log = logging.getLogger(__name__)

LONGEST_BODY = 64 * 1024

_M = TypeVar("_M", bound=BaseModel)


class Handler(RequestHandler):
    """The base of every handler. `web` is all it knows."""

    asks_who: ClassVar[bool] = False
    """Find out who asks before the method runs."""
    any_site: ClassVar[bool] = False
    """Pages of other sites may read the answer (never with cookies)."""

    listed_sites: ClassVar[bool] = False
    """Those may whom the operator has listed."""

    answers_all: ClassVar[bool] = False
    """Also networks that the operator has closed the site to: for what watches the service."""
    on_sessions_hosts: ClassVar[bool] = False
    """Answers also below the wildcard domain, where sessions are, and where the proxy knows no session."""

    of_launch: ClassVar[bool] = False
    """The first part of its address that varies is a launch's id."""

    leads_on: ClassVar[tuple[str, str]] = ("", "")
    """From a page about an error: a path of this site, and what its link is called in the catalogue."""

    web: Web
    who: auth.Who | None = None
    _rate: Standing | None = None

    def initialize(self, web: Web) -> None:
        """Tornado's constructor."""
        self.web = web

    def set_default_headers(self) -> None:
        """Security first: a handler loosens what it must."""
        for name, value in (HEADERS | (ANY_SITE if self.any_site else OWN_ONLY)).items():
            self.set_header(name, value)
        if self.listed_sites:
            listed = origins.headers(self.settings["allow_origin"], self.request.headers.get("Origin", ""))
            for name, value in listed.items():
                self.set_header(name, value)
        for name, value in self.settings.get("headers", {}).items():
            self.set_header(name, value)
        self.clear_header("Server")

    async def prepare(self) -> None:
        """Refuse closed networks and what is too large; find out who asks.

        Raises NetworkBanned, BodyTooLarge, LoginRequired, Forbidden, HubDown.
        """
        if not self.answers_all:
            self.web.gate.enter(address_of(*self._heard))
        if self.of_launch and LAUNCH_ID.fullmatch(self.path_args[0]):
            LAUNCH.set(self.path_args[0])
        if len(self.request.body) > LONGEST_BODY:
            raise BodyTooLarge(LONGEST_BODY)
        if not self.on_sessions_hosts and self.web.is_sessions_host(self.request.host_name):
            self._leave()
            return
        if self.asks_who and self.request.method != "OPTIONS":
            self.who = await auth.identify(self, self.web)
            if self.who is not None:
                auth.check_xsrf(self.request, self.web, self.who)

    def _leave(self) -> None:
        """Nothing of ours is at a session's host: its pages would be of one origin with it. Raises HTTPError."""
        if not self.wants_page or self.request.method not in auth.SAFE:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        self.redirect(self.web.public_url.rstrip("/") + str(self.request.uri))

    @property
    def account(self) -> Account:
        """Who asks. Raises LoginRequired."""
        if self.who is None:
            page = self.get_query_argument("next", "/")
            raise LoginRequired(auth.login_url(self.web.base, page))
        return self.who.account

    @property
    def is_operator(self) -> bool:
        """The operator sees everybody's."""
        return self.account.kind is Kind.OPERATOR

    async def begin_launch(
        self,
        account: Account,
        ref: RepoRef,
        urlpath: str = "",
        *,
        afresh: bool = False,
        build_only: bool = False,
        freed: bool = False,
    ) -> LaunchView:
        """Start a launch, if it may be (`launcher/gate/gate.py` says who may not, by what it raises).

        `freed`: a build token frees it from its address's limit.
        """
        try:
            self.web.gate.launch(account, self.visitor, ref, afresh=afresh, freed=freed)
            if not build_only:
                await self.web.queue.admit(account, partial(self._resumed_project, account, ref))
        except LauncherError as error:
            self.web.metrics.launch_refused(error, ref)
            raise
        finally:
            self._rate = self.web.gate.standing(account, self.visitor)
            self._tell_rate()
        begun = await self.web.launches.start(account, ref, urlpath, afresh=afresh, build_only=build_only)
        LAUNCH.set(begun.id)
        origin = origins.asked_from(self.request.headers)
        self.web.launch_log.asked(begun.id, Asking(self.request.host, origin, freed))
        return begun

    async def _resumed_project(self, account: Account, ref: RepoRef) -> str | None:
        """The project that this person has for this link."""
        found = await self.web.projects.find(account.name, ref.url, ref.ref) if account.name else None
        return found.id if found else None

    def _tell_rate(self) -> None:
        """How often one may still launch, in the headers that BinderHub has."""
        if self._rate is not None:
            self.set_header("X-RateLimit-Limit", str(self._rate.limit))
            self.set_header("X-RateLimit-Remaining", str(self._rate.remaining))
            self.set_header("X-RateLimit-Reset", str(round(self.web.clock()) + self._rate.full_s))

    @property
    def language(self) -> str:
        """What people who ask read: what they chose, else what their browser says."""
        return texts.chosen(self.get_cookie(texts.COOKIE, ""), self.request.headers.get("Accept-Language", ""))

    @property
    def visitor(self) -> str:
        """The network address of whoever asks; of an IPv6 one the /64."""
        return visitor(*self._heard)

    @property
    def _heard(self) -> tuple[str, str, tuple[str, ...]]:
        connection: Any = self.request.connection
        peer = str(connection.context.address[0])  # tornado's remote_ip is what somebody said
        return peer, self.request.headers.get("X-Forwarded-For", ""), self.web.trusted_proxies

    @property
    def secure(self) -> bool:
        """Whether people come by TLS, so that cookies must not go without it."""
        return self.address.startswith("https:")

    @property
    def address(self) -> str:
        """This service's address as the one who asks sees it, without a trailing slash."""
        return self.web.public_url.rstrip("/") or f"{self.request.protocol}://{self.request.host}"

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Text that is not UTF-8 is shown damaged, not refused: whoever uses it says what is wrong with it."""
        del name
        return value.decode("utf-8", "replace")

    async def head(self, *args: str) -> None:
        """As GET; tornado leaves the body out."""
        answer: Awaitable[None] | None = self.get(*args)
        if answer is not None:
            await answer

    def options(self, *_: str) -> None:
        """What may be asked here; CORS headers are among the default ones."""
        self.set_header("Allow", self._methods)
        self.set_status(HTTPStatus.NO_CONTENT)

    @property
    def _methods(self) -> str:
        known = [name for name in ("GET", "POST", "PATCH", "DELETE") if name.lower() in type(self).__dict__]
        return ", ".join([*known, *(["HEAD"] if "GET" in known else []), "OPTIONS"])

    def body_as(self, model: type[_M]) -> _M:
        """The request's JSON body, checked. Raises BadRequest."""
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise BadRequest("Content-Type", f"It is “{kind}”.", "application/json")
        try:
            return model.model_validate_json(self.request.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            seen = first["msg"].removeprefix("Value error, ")
            raise BadRequest(where, f"{seen}.", f"the schema {model.__name__} of the HTTP API") from None

    def send(self, model: BaseModel | list[Any], status: int = 200) -> None:
        """Answer with JSON."""
        if isinstance(model, list):
            text = json.dumps([one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in model])
        else:
            text = model.model_dump_json()
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(text)

    # ---- errors
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell what went wrong, as a page where a page is wanted, else as JSON."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        told = told_of(status_code, error)
        self.set_status(told.status)
        if told.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", self._methods)
        if isinstance(error, RetryLater):
            self.set_header("Retry-After", str(error.seconds))
        self._tell_rate()  # tornado has cleared what was set
        if self.wants_page:
            from launcher.web.rendering import error_page  # noqa: PLC0415  # pages are handlers too

            self.set_header("Content-Type", "text/html; charset=utf-8")
            path, name = self.leads_on
            action = self.web.base + path if path else ""
            said = texts.text(self.language, name) if name else ""
            self.finish(error_page(self, told, getattr(error, "login", ""), action, said))
            return
        body = as_json(explain.speak(told, self.language))
        if isinstance(error, LoginRequired):
            body["login"] = error.login
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"error": body}))

    @property
    def wants_page(self) -> bool:
        """A browser that opened this address asks for HTML before anything else."""
        accept = self.request.headers.get("Accept", "").lower()
        return "text/html" in accept and "application/json" not in accept.partition("text/html")[0]

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """A traceback for what is not known, a line for what is."""
        if isinstance(value, LauncherError | HTTPError):
            log.info("%s %s: %s", self.request.method, self.request.path, type(value).__name__)
        elif typ is not None and value is not None:
            log.error("%s %s broke", self.request.method, self.request.path, exc_info=(typ, value, tb))


class Missing(Handler):
    """Every address that no route has: a 404 that is a 404."""

    async def prepare(self) -> None:
        """Refuse."""
        await super().prepare()
        raise HTTPError(HTTPStatus.NOT_FOUND)


class Bare(Handler):
    """The path that the public address has, as people type it: without the slash at its end."""

    def get(self) -> None:
        """To the home page, or whatever its query makes of it."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"{self.web.base}/{query}")
