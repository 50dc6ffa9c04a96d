"""What links made long ago, and programs that show links of others, ask for: old redirects and oEmbed."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tornado.web import HTTPError

from launcher import explain
from launcher.errors import BadRequest
from launcher.web.handler import Handler
from launcher.web.routes import HTML, JSON, LINK_ERRORS, Operation, Route
from launcher.web.telling import as_json

if TYPE_CHECKING:
    from launcher.model import RepoRef

LEGACY_REF: Final = "master"
"""What the first Binder launched; where a repository of GitHub has none, its default branch is meant."""
PICTURE: Final = "/logo_social.png"
PICTURE_SIZE: Final = (1200, 630)
EMBED_S: Final = 86400


class LegacyLink(Handler):
    """`/repo/<user>/<repo>[/<path>]`: the first Binder's links."""

    any_site = True

    def get(self, user: str, repo: str, path: str = "") -> None:
        """To the launch link, with the path in the session. Raises the errors of links."""
        spec = f"{quote(user, safe='')}/{quote(repo, safe='')}/{LEGACY_REF}"
        ref = self.web.links.parse_spec("gh", spec)
        inside = path.strip("/")
        query = f"?urlpath={quote(inside, safe='/')}" if inside else ""
        self.redirect(f"{self.web.base}/v2/gh/{ref.spec}{query}")


CLOSED: Final = ("api/", "build/", "hub/", "launch", "launches/", "repo/", "user/", "v2/")


class Robots(Handler):
    """`/robots.txt`: launch links cost a build; crawlers need none."""

    answers_all = any_site = True

    def get(self) -> None:
        """Everything but the pages about this site is closed to crawlers."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", f"public, max-age={EMBED_S}")
        self.finish("User-agent: *\n" + "".join(f"Disallow: {self.web.base}/{one}\n" for one in CLOSED))


class OEmbed(Handler):
    """`/oembed?url=…`: what sites show in place of a launch link (oembed.com, 1.0)."""

    any_site = True

    def get(self) -> None:
        """A link with a title and a picture. Raises HTTPError for other sites' addresses, and the errors of links."""
        if self.get_query_argument("format", "json").lower() != "json":
            told = explain.say(explain.REQUEST_REFUSED, HTTPStatus.NOT_IMPLEMENTED)
            self.set_status(told.status)
            self.finish({"error": as_json(told)})
            return
        provider, ref = self._asked(self.get_query_argument("url", ""))
        width, height = PICTURE_SIZE
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", f"public, max-age={EMBED_S}")
        self.finish(
            json.dumps(
                {
                    "version": "1.0",
                    "type": "link",
                    "title": title(str(self.names.get(provider, provider)), ref.spec),
                    "provider_name": "repolaunch",
                    "provider_url": f"{self.address}/",
                    "cache_age": EMBED_S,
                    "thumbnail_url": self.address + PICTURE,
                    "thumbnail_width": width,
                    "thumbnail_height": height,
                }
            )
        )

    @property
    def names(self) -> dict[object, object]:
        """Provider → its name for people."""
        return {row["id"]: row["displayName"] for row in self.web.links.providers}

    def _asked(self, url: str) -> tuple[str, RepoRef]:
        if not url:
            raise BadRequest("url", "It is missing.", "a launch link of this site, whole")
        begin = f"{self.address}/v2/"
        plain = url.partition("#")[0].partition("?")[0]
        provider, _, spec = plain.removeprefix(begin).partition("/")
        if not plain.startswith(begin) or not spec:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        return provider, self.web.links.parse_spec(provider, spec)


def title(provider: str, spec: str) -> str:
    """What a launch link is called where it is shown."""
    return explain.plain(f"{provider}: {spec}")


LEGACY: Final = (
    Operation("GET", "A link of the first Binder: leads to the launch link on GitHub.", HTML, 302, errors=LINK_ERRORS),
)
ROUTES: Final[tuple[Route, ...]] = (
    Route("/repo/{user}/{repo}", LegacyLink, LEGACY),
    Route("/repo/{user}/{repo}/{rest}", LegacyLink, LEGACY),
    Route("/robots.txt", Robots, (Operation("GET", "What crawlers leave alone: whatever launches.", "text/plain"),)),
    Route(
        "/oembed",
        OEmbed,
        (
            Operation(
                "GET",
                "What other sites show for a launch link (oEmbed 1.0, type `link`). 404 for other addresses.",
                JSON,
                query=(("url", "The launch link, whole."), ("format", "`json`; else 501.")),
                errors=(*LINK_ERRORS, "bad-request"),
            ),
        ),
    ),
)
