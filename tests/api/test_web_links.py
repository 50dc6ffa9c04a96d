"""What was pasted becomes a link, badges and a QR code; and what it leads to is looked up, not too often."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

import pytest

from launcher.errors import RecordElsewhere, RefMissing
from launcher.model import Record, RepoRef, ResolvedRepo
from launcher.rates import Rates
from launcher.repos.private import PrivateResolver
from launcher.repos.resolver import GitResolver
from launcher.web import looking
from launcher.web.looking import Looking
from tests.fixtures.trees import LOOPBACK, PROTOCOLS
from tests.fixtures.web import OPERATOR_TOKEN, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.credentials.keyring import Keyring
    from launcher.model import Account
    from tests.fixtures.serving_private import PrivateHost
    from tests.fixtures.web import Site

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def at(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


@dataclass
class Host:
    """Is a `Finder`: has the reference `main` and its commit, a tag, and one record."""

    asked: list[RepoRef] = field(default_factory=list)
    slow: bool = False

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        del account
        self.asked.append(ref)
        if self.slow:
            await asyncio.sleep(60)
        if ref.spec.startswith("10.1038/"):
            raise RecordElsewhere(ref.url, "it leads elsewhere", "www.nature.com")
        if ref.provider == "dataverse":
            return ResolvedRepo(ref, "", "", record=Record(f"{ref.spec} version 1.0", 0, ()))
        if ref.provider == "zenodo":
            return ResolvedRepo(ref, "", "", record=Record("10.5281/zenodo.124", 0, ()))
        names = {
            "feature/x": "refs/heads/feature/x",
            "": "refs/heads/main",
            "main": "refs/heads/main",
            "v1": "refs/tags/v1",
            COMMIT: "",
        }
        if ref.ref not in names:
            raise RefMissing(ref.url, ref.ref, ("main",))
        return ResolvedRepo(ref, COMMIT, names[ref.ref])


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def looks(bare_site: Site, host: Host) -> AsyncIterator[Site]:
    """A site that looks up at most four links for one address within ten minutes."""
    web = replace(bare_site.web, public_url="https://hub.example.org", looking=Looking(host, Rates(4, time.monotonic)))
    async with served(bare_site, web) as site:
        yield site


async def test_a_page_with_a_file(looks: Site, host: Host) -> None:
    pasted = "https://github.com/ada/nice/blob/main/a%20b/c.ipynb"
    found = await looks.json("GET", at("/api/v1/links", url=pasted))
    link = "/v2/gh/ada/nice/main?labpath=a%20b/c.ipynb"
    assert {name: found[name] for name in ("link", "site", "ref", "urlpath", "moves")} == {
        "link": link,
        "site": "GitHub",
        "ref": "main",
        "urlpath": "doc/tree/a b/c.ipynb",
        "moves": True,
    }
    whole, badge = f"https://hub.example.org{link}", "https://hub.example.org/badge_logo.svg"
    assert found["badges"] == {
        "markdown": f"[![Launch with repolaunch]({badge})]({whole})",
        "rst": f".. image:: {badge}\n   :target: {whole}\n   :alt: Launch with repolaunch",
        "html": f'<a href="{whole}"><img src="{badge}" alt="Launch with repolaunch"></a>',
        "latex": r"\href{https://hub.example.org/v2/gh/ada/nice/main?labpath=a\%20b/c.ipynb}"
        r"{\fbox{\textsf{\small launch \textbar{} repolaunch}}}",
        "org": f"[[{whole}][{badge}]]",
    }
    for text in (found["link"], *found["badges"].values()):
        again = await looks.json("GET", at("/api/v1/links", url=text))
        assert again == found, "what it gives can be pasted"
    assert host.asked == []


@pytest.mark.parametrize(
    "asked,link",
    [
        ({"labpath": "x.ipynb"}, "/v2/gh/ada/nice/HEAD?labpath=x.ipynb"),
        ({"labpath": "x?y.ipynb"}, "/v2/gh/ada/nice/HEAD?urlpath=doc/tree/x%3Fy.ipynb"),
        ({"filepath": "/x.ipynb"}, "/v2/gh/ada/nice/HEAD?urlpath=tree/x.ipynb"),
        ({"urlpath": "rstudio/"}, "/v2/gh/ada/nice/HEAD?urlpath=rstudio/"),
        ({"ref": "v1"}, "/v2/gh/ada/nice/v1"),
    ],
)
async def test_what_to_open(looks: Site, asked: dict[str, str], link: str) -> None:
    found = await looks.json("GET", at("/api/v1/links", url="ada/nice", **asked))
    assert found["link"] == link


@pytest.mark.parametrize("path", ["", "/found", "/qr.svg", "/qr.png"])
async def test_nonsense_is_a_sentence(looks: Site, path: str) -> None:
    bad = await looks.json("GET", at("/api/v1/links" + path, url="hello world"), status=400)
    assert bad["error"]["title"] == "This is not the address of a repository"
    assert bad["error"]["seen"] == "The address is “hello world”: it holds a space."
    bad = await looks.json("GET", at("/api/v1/links" + path, url="ada/nice", labpath="../x"), status=400)
    assert bad["error"]["code"] == "bad-request"


@pytest.mark.parametrize(
    "pasted", ["javascript:alert(1)", "mailto:a@b.c", "arXiv:2101.00001", r"C:\Users\me\repo", "osf.io/abc12"]
)
async def test_what_is_no_repository_gets_no_link(looks: Site, host: Host, pasted: str) -> None:
    asked = [at(path, url=pasted) for path in ("/api/v1/links", "/api/v1/links/found", "/api/v1/links/qr.svg")]
    told = [await looks.json("GET", path, status=400) for path in asked]
    told.append(await looks.json("POST", "/api/v1/launches", status=400, json={"url": pasted}, headers=looks.headers()))
    for one in told:
        assert pasted in one["error"]["seen"]
        assert one["error"]["todo"]
    for path in ("/", "/launch"):
        async with looks.client.get(looks.base + at(path, url=pasted), allow_redirects=False) as answer:
            assert answer.status == 400 or (answer.status == 503 and "Location" not in answer.headers)
            assert "/v2/git/" not in await answer.text()
    assert host.asked == []


# ---- what it leads to
@pytest.mark.parametrize(
    "url,kind,name",
    [("ada/nice", "branch", "main"), ("ada/nice@v1", "tag", "v1"), (f"ada/nice@{COMMIT}", "commit", "")],
)
async def test_what_a_link_leads_to(looks: Site, url: str, kind: str, name: str) -> None:
    found = await looks.json("GET", at("/api/v1/links/found", url=url, labpath="x.ipynb"))
    assert (found["kind"], found["name"], found["version"]) == (kind, name, COMMIT)
    assert found["pinned"]["link"] == f"/v2/gh/ada/nice/{COMMIT}?labpath=x.ipynb"
    assert found["pinned"]["moves"] is False
    assert found["link"]["moves"] is (kind != "commit")


@pytest.mark.parametrize("number,moves", [("123", True), ("124", False)])
async def test_a_record_is_pinned_to_its_version(looks: Site, number: str, *, moves: bool) -> None:
    found = await looks.json("GET", at("/api/v1/links/found", url=f"10.5281/zenodo.{number}"))
    assert (found["kind"], found["version"], found["link"]["moves"]) == ("record", "10.5281/zenodo.124", moves)
    assert found["pinned"]["link"] == "/v2/zenodo/10.5281/zenodo.124"


@pytest.mark.parametrize(
    "pasted,typed,found",
    [
        ("10.5064/F6ABC", "A DOI: where it leads is looked up", "A DOI of a record"),
        ("10.7910/DVN/TJCLKP", "Dataverse DOI", "Dataverse DOI"),
        ("10.5281/zenodo.123", "Zenodo DOI", "Zenodo DOI"),
    ],
)
async def test_a_doi_is_called_what_is_known_of_it(looks: Site, pasted: str, typed: str, found: str) -> None:
    assert (await looks.json("GET", at("/api/v1/links", url=pasted)))["site"] == typed
    assert (await looks.json("GET", at("/api/v1/links/found", url=pasted)))["link"]["site"] == found


async def test_a_publications_doi_is_told_where_it_leads(looks: Site) -> None:
    pasted = "10.1038/s41586-020-2649-2"
    french = {"Accept-Language": "fr-FR"}
    typed = await looks.json("GET", at("/api/v1/links", url=pasted), headers=french)
    assert typed["site"] == "Un DOI : on demande où il mène"
    told = await looks.json("GET", at("/api/v1/links/found", url=pasted), status=422)
    assert "leads to www.nature.com" in told["error"]["seen"]
    assert told["error"]["todo"].startswith("Give the DOI of a record on Zenodo")


async def test_the_page_of_a_folder_is_understood(looks: Site, host: Host) -> None:
    found = await looks.json("GET", at("/api/v1/links/found", url="https://github.com/ada/nice/tree/main/notes"))
    assert found["link"]["link"] == "/v2/gh/ada/nice/main?urlpath=lab/tree/notes"
    assert [one.ref for one in host.asked] == ["main/notes", "main"]


FILE_PAGES = (
    ("https://github.com/ada/nice/blob/feature/x/notes/a%20b.ipynb", "/v2/gh/ada/nice/feature/x"),
    (
        "https://git.example.org/g/p/-/blob/feature/x/notes/a%20b.ipynb",
        "/v2/git/https%3A%2F%2Fgit.example.org%2Fg%2Fp.git/feature/x",
    ),
    (
        "https://codeberg.org/u/r/src/branch/feature/x/notes/a%20b.ipynb",
        "/v2/git/https%3A%2F%2Fcodeberg.org%2Fu%2Fr.git/feature/x",
    ),
    (
        "https://bitbucket.org/u/r/src/feature/x/notes/a%20b.ipynb",
        "/v2/git/https%3A%2F%2Fbitbucket.org%2Fu%2Fr/feature/x",
    ),
)


@pytest.mark.parametrize("page,link", FILE_PAGES)
async def test_the_page_of_a_file_on_a_branch_with_a_slash(looks: Site, host: Host, page: str, link: str) -> None:
    found = await looks.json("GET", at("/api/v1/links/found", url=page))
    assert found["link"]["link"] == f"{link}?labpath=notes/a%20b.ipynb"
    assert found["link"]["urlpath"] == "doc/tree/notes/a b.ipynb"
    assert [one.ref for one in host.asked] == ["feature", "feature/x"]
    found = await looks.json("GET", at("/api/v1/links/found", url=page, labpath="other.ipynb"))
    assert found["link"]["link"] == f"{link}?labpath=other.ipynb"


@pytest.mark.parametrize("page,link", FILE_PAGES)
async def test_the_same_without_a_script(looks: Site, page: str, link: str) -> None:
    async with looks.client.get(looks.base + at("/launch", url=page), allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, f"{link}?labpath=notes/a%20b.ipynb")
    begun = await looks.json("POST", "/api/v1/launches", status=201, json={"url": page}, headers=looks.headers())
    assert begun["link"] == f"{link}?labpath=notes/a%20b.ipynb"


async def test_a_reference_that_somebody_names_is_not_guessed_about(looks: Site, host: Host) -> None:
    for asked in ({"url": "ada/nice@main/x"}, {"url": "ada/nice", "ref": "main/x"}, {"url": "/v2/gh/ada/nice/main/x"}):
        begun = await looks.json("POST", "/api/v1/launches", status=201, json=asked, headers=looks.headers())
        assert begun["ref"] == "main/x"
    assert host.asked == []


async def test_where_the_host_does_not_say_the_first_way_is_taken(looks: Site, host: Host) -> None:
    page = at("/launch", url="https://github.com/ada/nice/blob/other/notes/a.ipynb")
    for _ in range(6):  # and more often than anybody may ask
        async with looks.client.get(looks.base + page, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/v2/gh/ada/nice/other?labpath=notes/a.ipynb")
    assert len(host.asked) == 8


async def test_what_is_not_there_is_told_of_what_was_pasted(looks: Site) -> None:
    path = at("/api/v1/links/found", url="https://github.com/ada/nice/tree/other/notes")
    bad = await looks.json("GET", path, status=404)
    assert "called exactly “other/notes”. It has: main." in bad["error"]["seen"].replace("\n", " ")


async def test_who_is_not_known_may_look_so_often(looks: Site) -> None:
    path = at("/api/v1/links/found", url="ada/nice")
    for _ in range(4):
        await looks.json("GET", path)
    told = await looks.json("GET", path, status=429)
    assert told["error"]["seen"].startswith("From your network address 4 links may be looked up within ten minutes")
    await looks.json("GET", path, headers=looks.headers())


async def test_a_slow_host_is_not_waited_for(looks: Site, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LONGEST_S", 0.05)
    host.slow = True
    told = await looks.json("GET", at("/api/v1/links/found", url="ada/nice"), status=502)
    assert told["error"]["seen"].endswith("it did not answer in time.")


async def test_a_private_repository_is_there_for_its_person_alone(bare_site: Site, git_private: PrivateHost) -> None:
    """Told as a launch tells it: for all others it is one that does not exist, whatever its host says."""
    repo = git_private.make_repo("lab/notes", {"README.md": "between us\n"})
    git_private.logins["ada:tok-7f3a9c"] = ("/lab/notes.git",)
    ring, asking = cast("Keyring", bare_site.web.credentials), GitResolver(LOOPBACK, PROTOCOLS, 30)
    await ring.keep_token("ada", git_private.base, "ada", "tok-7f3a9c")
    web = replace(bare_site.web, looking=Looking(PrivateResolver(asking, asking, ring), Rates(0, time.monotonic)))
    async with served(bare_site, web) as site:
        path = at("/api/v1/links/found", url=repo.url)
        nothing = await site.json("GET", at("/api/v1/links/found", url=repo.url.replace("notes", "other")), status=404)
        for headers in (site.headers(), site.cookie()):
            async with site.client.get(site.base + path, headers=headers) as answer:
                assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
                found = await answer.json()
            assert (found["kind"], found["version"]) == ("branch", repo.commit)
            assert found["pinned"]["link"].endswith(f"/{repo.commit}")
            assert "tok-7f3a9c" not in str(found)
        elsewhere = site.cookie() | {"Sec-Fetch-Site": "cross-site"}
        for headers in ({}, *(site.headers(one) for one in ("bob-token", "guest-token", OPERATOR_TOKEN)), elsewhere):
            told = await site.json("GET", path, status=404, headers=headers)
            assert told == json.loads(json.dumps(nothing).replace("other", "notes"))
        await ring.keep_token("ada", git_private.base, "ada", "tok-wrong")
        refused = await site.json("GET", path, status=403, headers=site.headers())
        assert refused["error"]["code"] == "credential-refused"
    asking.close()


# ---- QR codes
async def test_a_qr_code(looks: Site) -> None:
    async with looks.client.get(looks.base + at("/api/v1/links/qr.svg", url="ada/nice")) as answer:
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert "https://hub.example.org/v2/gh/ada/nice/HEAD" in await answer.text()
    async with looks.client.get(looks.base + at("/api/v1/links/qr.png", url="ada/nice")) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert (await answer.read()).startswith(b"\x89PNG")


async def test_a_link_that_no_qr_code_can_hold(looks: Site) -> None:
    path = at("/api/v1/links/qr.svg", url="ada/nice", labpath=quote("x" * 1600))
    bad = await looks.json("GET", path, status=400)
    assert bad["error"]["todo"] == "Expected: at most 1500."
