"""`/api/v1/links`: what was pasted becomes a launch link, badges and a QR code; and what it leads to now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from launcher.errors import BadRequest, HostUnreachable, LauncherError
from launcher.repos.recognise import Recognised, arrival
from launcher.repos.records.links import is_any_doi
from launcher.web import auth, badges, schemas, texts
from launcher.web.handler import Handler
from launcher.web.routes import LINK_ERRORS, Operation, Route
from launcher.web.urlpath import checked_urlpath

if TYPE_CHECKING:
    from launcher.model import Account, RepoRef, ResolvedRepo
    from launcher.web.context import Web

LONGEST_QR = 1500
"""Characters of a link that a QR code of a readable size can hold."""


def asked(handler: Handler) -> Recognised:
    """What the query names. Raises the errors of links, and BadRequest."""
    ask = handler.get_query_argument
    found = handler.web.links.recognise(ask("url", ""), ask("ref", ""))
    ways = [ask(name, "").strip() for name in ("urlpath", "labpath", "filepath")]
    if any(ways):
        found = replace(found, urlpath=arrival(*ways))
    return replace(found, urlpath=checked_urlpath(found.urlpath))


def meant(handler: Handler, found: Recognised) -> list[Recognised]:
    """What was recognised, and how else its page may be meant."""
    return [found, *handler.web.links.folders(found)]


async def settled(handler: Handler, found: Recognised, account: Account = auth.STRANGER) -> Recognised:
    """The way that its host knows, where a page may be meant in many; as it is where the host does not say."""
    ways = meant(handler, found)
    if not found.page or len(ways) == 1:
        return found
    try:
        handler.web.looking.count(account, handler.visitor)
        told = await handler.web.looking.find([one.ref for one in ways], account)
    except (LauncherError, TimeoutError):
        return found
    return ways[told[0]] if told else found


def _site(handler: Handler, ref: RepoRef, *, asked: bool) -> str:
    """What a link's provider is called, for people; a DOI that may be of anything is called no more than that."""
    if is_any_doi(ref.provider, ref.spec):
        return texts.text(handler.language, "home.doi.found" if asked else "home.doi")
    return str(next(row["displayName"] for row in handler.web.links.providers if row["id"] == ref.provider))


def shown(handler: Handler, found: Recognised, *, moves: bool | None = None, asked: bool = False) -> schemas.Link:
    """A link as JSON. `moves`: what the provider said. `asked`: it was asked, and knows it."""
    ref = found.ref
    link = schemas.launch_link(ref.provider, ref.spec, found.urlpath)
    return schemas.Link(
        link=link,
        provider=ref.provider,
        spec=ref.spec,
        url=ref.url,
        ref=ref.ref,
        urlpath=found.urlpath,
        site=_site(handler, ref, asked=asked),
        moves=found.moves if moves is None else moves,
        badges=schemas.Badges.model_validate(badges.badges(handler.address, link)),
    )


def qr_address(link: str) -> str:
    """Where the QR code of a launch link is."""
    return "/api/v1/links/qr.svg?" + urlencode({"url": link})


class Links(Handler):
    """`/api/v1/links`."""

    def get(self) -> None:
        """The launch link of what was pasted. Raises the errors of links."""
        self.send(shown(self, asked(self)))


class LinkFound(Handler):
    """`/api/v1/links/found`."""

    asks_who = True

    async def get(self) -> None:
        """Ask the host. Raises the errors of links and of repositories, and TooOften."""
        found = asked(self)
        account = self.who.account if self.who else auth.STRANGER
        self.web.looking.count(account, self.visitor)
        ways = meant(self, found)
        try:
            told = await self.web.looking.find([one.ref for one in ways], account)
        except TimeoutError:
            raise HostUnreachable(found.ref.url, "it did not answer in time") from None
        if told is None:
            raise BadRequest("url", "Nothing is looked up on this site.", "/api/v1/links")
        number, repo = told
        self.send(self._found(ways[number], repo))

    def _found(self, found: Recognised, repo: ResolvedRepo) -> schemas.LinkFound:
        pinned = self._pinned(found, repo)
        moves = found.moves if pinned is None or repo.record is None else pinned.ref.spec != found.ref.spec
        kind = "record" if repo.record else _kind(repo.name)
        return schemas.LinkFound(
            link=shown(self, found, moves=moves, asked=True),
            kind=kind,
            name=repo.name.split("/", 2)[-1] if kind in {"branch", "tag"} else "",
            version=repo.record.id if repo.record else repo.commit,
            pinned=shown(self, pinned, moves=False, asked=True) if pinned else None,
        )

    def _pinned(self, found: Recognised, repo: ResolvedRepo) -> Recognised | None:
        """The link that cannot move; None where the provider has none."""
        links, ref = self.web.links, found.ref
        try:
            if repo.record is None:
                repository = ref.spec.removesuffix("/" + quote(ref.ref or "HEAD", safe="/"))
                pinned = links.parse_spec(ref.provider, f"{repository}/{repo.commit}")
            else:
                pinned = links.parse_spec(ref.provider, quote(repo.record.id, safe="/:"))
        except LauncherError:
            return None
        return Recognised(pinned, found.urlpath)


def _kind(name: str) -> schemas.RefKind:
    if name.startswith("refs/tags/"):
        return "tag"
    return "branch" if name else "commit"


class QrCode(Handler):
    """`/api/v1/links/qr.svg` and `.png`."""

    form: str

    def initialize(self, web: Web, form: str = "svg") -> None:
        """`form`: `svg` or `png`."""
        super().initialize(web)
        self.form = form

    def get(self) -> None:
        """The launch link as a QR code. Raises the errors of links, and BadRequest for one that is too long."""
        link = self.address + shown(self, asked(self)).link
        if len(link) > LONGEST_QR:
            raise BadRequest("url", f"Its launch link has {len(link)} characters.", f"at most {LONGEST_QR}")
        self.set_header("Content-Type", "image/svg+xml" if self.form == "svg" else "image/png")
        self.finish(badges.qr_code(link, self.form))


HOST_ERRORS: Final = (
    "host-unreachable",
    "repository-missing",
    "ref-missing",
    "ref-ambiguous",
    "repository-banned",
    "host-key-unknown",
    "credential-refused",
    "credential-damaged",
    "private-not-here",
    "names-not-proven",
    "record-unfit",
    "record-elsewhere",
    "record-gone",
)
PASTED: Final = (
    ("url", "What was pasted: an address, a page, a DOI, an archive's id, a launch link, a badge, `git clone …`."),
    ("ref", "Branch, tag or commit; wins over one in `url`."),
    ("labpath", "A file to open in JupyterLab."),
    ("filepath", "A file to open."),
    ("urlpath", "Where in the session to arrive."),
)
ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/links",
        Links,
        (
            Operation(
                "GET",
                "The launch link of what was pasted, and its badges. Asks no host.",
                schemas.Link,
                query=PASTED,
                errors=(*LINK_ERRORS, "bad-request"),
            ),
        ),
    ),
    Route(
        "/api/v1/links/found",
        LinkFound,
        (
            Operation(
                "GET",
                "What that link leads to now, for the one who asks, and the link that is pinned to it. Asks its host.",
                schemas.LinkFound,
                query=PASTED,
                errors=(*LINK_ERRORS, *HOST_ERRORS, "too-often", "bad-request"),
            ),
        ),
    ),
    Route(
        "/api/v1/links/qr.svg",
        QrCode,
        (
            Operation(
                "GET", "That link as a QR code.", "image/svg+xml", query=PASTED, errors=(*LINK_ERRORS, "bad-request")
            ),
        ),
    ),
    Route(
        "/api/v1/links/qr.png",
        QrCode,
        (Operation("GET", "The same in pixels.", "image/png", query=PASTED, errors=(*LINK_ERRORS, "bad-request")),),
        {"form": "png"},
    ),
)
