"""Pages that mean harm, in a real browser in which a guest or a member has a session: nothing changes, nothing is read.

The service is visited by an address about which browsers tell where a request comes from (`Sec-Fetch-Site`), and by one
about which they say nothing; the page is on another site, and on another origin of the same site, which cookies follow.
"""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.fixtures.asking import ask
from tests.fixtures.journey import lab, link, repository, somebody
from tests.fixtures.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, Page

    from tests.fixtures.journey import Person
    from tests.fixtures.repos import GitHost, Repo

pytestmark = [pytest.mark.long, pytest.mark.engine, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGES = Path(__file__).parents[1] / "fixtures" / "attacker"
OWN = ("repolaunch-login", "repolaunch-build-login", "jupyterhub-hub-login")
LOGINS = (*OWN, *(f"__Host-{one}" for one in OWN))
OURS_IN_FRAMES = ("home", "launch", "errors", "me", "hub", "token", "lab", "stopped")


@dataclass
class ServiceAt(Service):
    """The service by another of its names."""

    host: str = "127.0.0.1"

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Silent(SimpleHTTPRequestHandler):
    """Serves the pages that mean harm."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def attacker() -> Iterator[int]:
    """The port at which they are."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(PAGES)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def repo(git_daemon: GitHost) -> Repo:
    """What everybody here launches."""
    return repository(git_daemon)


@dataclass
class Victim:
    """Somebody with a running session and a kernel in it."""

    person: Person
    project: str
    kernel: str
    account: str

    session: str = ""
    """Its address; `""`: below the service's own."""

    def __post_init__(self) -> None:
        self.session = self.session or f"{self.at}/user/project-{self.project}/"

    @property
    def at(self) -> str:
        return self.person.service.base_url

    async def kernel_started(self) -> Victim:
        """The same, with a kernel in the session; what is compared can be seen at all."""
        _, me = await self.ask(f"{self.at}/api/v1/me")
        cookies = await self.person.context.cookies(self.session)
        xsrf = next(one["value"] for one in cookies if one["name"] == "_xsrf" and self.project in one["path"])
        status, made = await self.ask(f"{self.session}api/kernels", "POST", json={}, headers={"X-XSRFToken": xsrf})
        assert status == 201, made
        for path in ("api/v1/launches", "hub/api/user"):
            assert (await self.ask(f"{self.at}/{path}"))[0] == 200, path
        return replace(self, kernel=made["id"], account=me["name"])

    async def ask(self, url: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
        """As this person's browser."""
        return await ask(self.person.context, self.person.service, url, method, **options)

    def _accounts(self) -> list[str]:
        """Everybody whom the hub knows.

        To an address without TLS and name browsers do not say what they ask for: there an image of another site makes
        the hub count one more guest, whose login no browser keeps.
        """
        if not self.at.startswith(("https:", "http://127.0.0.1:")):
            return []
        where = f"file:{self.person.service.data / 'hub' / 'hub.sqlite'}?mode=ro"
        with closing(sqlite3.connect(where, uri=True)) as database:
            return sorted(name for (name,) in database.execute("select name from users"))

    async def state(self) -> dict[str, Any]:
        """All that could have changed: as the service tells it, on disk, and in the browser."""
        found: dict[str, Any] = {}
        for path in ("me", "launches", "projects", "sessions"):
            found[path] = _without_times(list(await self.ask(f"{self.at}/api/v1/{path}")))
        for path in (f"{self.session}api/kernels", f"{self.session}api/contents", f"{self.at}/hub/api/user"):
            found[path] = _without_times(list(await self.ask(path)))
        files = self.person.workspace(self.project)
        found["files"] = {path.name: path.read_text() for path in files.iterdir() if path.is_file()}
        found["logins"] = sorted(
            # Signed with their time: the hub writes the same login anew. The rest is what is signed.
            (one["name"], one["path"], one["value"].split("|")[4])
            for one in await self.person.context.cookies()
            if one["name"] in LOGINS
        )
        found["accounts"] = self._accounts()
        containers = self.person.service.containers()
        found["containers"] = sorted(str(one.id) for one in containers if self.project in str(one.name))
        return found


# An image is named by the registry's digest once it was pushed, which goes on behind a session that runs, as does the
# measuring of workspaces: the files themselves are compared.
MOVING = {
    "used",
    "image",
    "workspace_bytes",
    "last_activity",
    "execution_state",
    "connections",
    "last_modified",
    "xsrf",
}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if name not in MOVING}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


@asynccontextmanager
async def victim(service: Service, host: str, chrome: Browser, who: str, repo: Repo) -> AsyncIterator[Victim]:
    """Come as a guest or as a member, launch, start a kernel."""
    named = ServiceAt(**vars(service), host=host)
    async with somebody(named, chrome) as person:
        if who == "member":
            page = await person.open(f"/api/v1/login?as=member&next={quote(link(repo), safe='')}")
            await page.locator("#username_input").fill(f"ada-{host.replace('.', '-')}")
            await page.locator("#password_input").fill((service.data / "secrets/shared-password").read_text().strip())
            await page.locator("#login_submit").click()
        else:
            page = await person.open(link(repo))
        project = await lab(page)
        await page.goto("about:blank")  # a page that is open saves its layout meanwhile
        yield await Victim(person, project, "", "").kernel_started()


async def framed(page: Page) -> list[str]:
    """Frames that show anything of ours."""
    frames = [frame for frame in page.frames if frame.name in OURS_IN_FRAMES]
    return [f"{one.name}: {one.url}" for one in frames if not one.url.startswith("chrome-error:")]


async def attacked(target: Victim, origin: str) -> list[str]:
    """Open the page that means harm at `origin`, let it try all it knows. Returns what it achieved."""
    page = await target.person.context.new_page()
    await page.goto(origin)
    return await tried(target, page, "place => attack(place)")


async def tried(target: Victim, page: Page, script: str) -> list[str]:
    """Let `script`, which is given where the victim's things are, do what it knows on this page."""
    before = await target.state()
    place = {
        "at": target.at,
        "session": target.session,
        "kernel": target.kernel,
        "project": target.project,
        "account": target.account,
    }
    notes: dict[str, str] = await page.evaluate(script, place)
    assert len(notes) > 180, "not all was tried"
    # Nor does it read of a launch as nobody (`build without`): none of these sites is on the operator's list.
    achieved = [f"{name}: {what}" for name, what in notes.items() if what != "blocked"]
    achieved += await framed(page)
    for one in target.person.context.pages[1:]:
        await one.close()
    after = await target.state()
    return achieved + [f"{name}: {before[name]} → {after[name]}" for name in before if before[name] != after[name]]


@pytest.mark.parametrize(
    "who, host, origins",
    [
        # Browsers say where a request to this address comes from; another port is the same site, and sent cookies.
        ("guest", "127.0.0.1", ("evil.test", "127.0.0.1")),
        # To this one they say nothing; a name beside it is the same site.
        ("member", "service.test", ("evil.test", "evil.service.test")),
    ],
)
async def test_nothing_changes_and_nothing_is_read(
    service: Service, chrome: Browser, repo: Repo, attacker: int, who: str, host: str, origins: tuple[str, ...]
) -> None:
    async with victim(service, host, chrome, who, repo) as target:
        for origin in origins:
            assert await attacked(target, f"http://{origin}:{attacker}/") == [], origin
