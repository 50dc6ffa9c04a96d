"""The hub's pages that people meet: in each language, each with a way on, and strangers' words as text."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH
from jupyterhub.apihandlers.base import APIHandler

from deploy.hub import pages
from deploy.hub.notices import Notices
from launcher.web import texts

TEMPLATES = Path(pages.__file__).parent / "templates"
FRAMES = {"frame.html", "page.html"}
NAMES = sorted(path.name for path in TEMPLATES.glob("*.html") if path.name not in FRAMES)
LINK = "/v2/gh/a/b/main?urlpath=lab"


def page(name: str, language: str = "en", **more: object) -> str:
    """As JupyterHub renders it: names that it does not give are nothing."""
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    known = {"prefix": "/", "base_url": "/hub/", "login_url": "/hub/login", "logout_url": "/hub/logout", "user": None}
    ours = {
        "language": language,
        "languages": texts.LANGUAGES,
        "t": partial(texts.text, language),
        "here": "/hub/x?a=b",
    }
    login = {"authenticator": SimpleNamespace(request_otp=False), "authenticator_login_url": "/hub/login?next=%2F"}
    return templates.get_template(name).render(known | ours | login | {"way_back": "", "status_code": 403} | more)


@pytest.mark.parametrize("language", texts.LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_each_is_in_the_readers_language_and_leads_on(name: str, language: str) -> None:
    html = page(name, language)
    assert f'<html lang="{language}">' in html
    assert 'href="/static/style.css"' in html
    assert html.count("<h1>") == 1
    main = html.partition("<main")[2].partition("</main>")[0]
    assert 'href="/"' in main, "a way home"
    (other,) = set(texts.LANGUAGES) - {language}
    assert f'href="/language/{other}?next=/hub/x%3Fa%3Db"' in html
    assert ("<script" in html) is ("data-pending" in html) is name.endswith("_pending.html")
    assert "style=" not in html


SAID = '<strong>Closed</strong> tonight. <a href="/about" rel="noopener noreferrer">Why?</a>'


@pytest.mark.parametrize("name", NAMES)
def test_the_operators_word_is_above_every_page(name: str) -> None:
    html = page(name, said=SAID)
    assert html.count(SAID) == 1
    assert html.index(SAID) < html.index("<main")
    assert "<aside" not in page(name, said="")


@pytest.mark.parametrize("said", [SAID, ""])
def test_and_above_those_that_are_jupyterhubs_own(said: str) -> None:
    """Beside its own announcement, which is an operator's setting too."""
    theirs = Path(DATA_FILES_PATH, "templates")
    loaders = [PrefixLoader({"templates": FileSystemLoader(theirs)}), FileSystemLoader([TEMPLATES, theirs])]
    templates = Environment(loader=ChoiceLoader(loaders), autoescape=True)
    known = {
        "static_url": lambda path, **_: path,
        "t": partial(texts.text, "en"),
        "said": said,
        "announcement": "<i>Theirs</i>",
    }
    html = templates.get_template("token.html").render(known)
    assert html.count("<i>Theirs</i>") == 1
    assert html.count("<aside") == html.count(SAID) == (1 if said else 0)


async def test_what_is_said_is_read_again_before_a_page_is_made(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    notices = Notices(str(policy), tmp_path / "kept")
    known = pages.speaking(property(lambda _: {"prefix": "/"}), notices)
    request = SimpleNamespace(method="GET", uri="/hub/login", headers={}, query_arguments={})
    reader = SimpleNamespace(request=request, base_url="/", get_cookie=lambda *_: "")
    program = APIHandler.__new__(APIHandler)

    async def prepare(_: object) -> None:
        """JupyterHub's own."""

    async def asked(handler: object, by: Notices = notices) -> str:
        await by.read_first(prepare)(handler)
        assert known.__get__(reader)["said"] == notices.banner
        return by.banner

    assert await asked(reader) == ""
    policy.write_text("[pages]\nbanner = '<strong>Closed</strong> tonight. <a href=\"/about\">Why?</a>'\n")
    assert await asked(program) == "", "programs read no banner"
    assert await asked(reader) == SAID
    policy.write_text("[pages]\nbanner = '<script>1</script>'\n[providers.gh]\nbanned = ['^mallory/']\n")
    assert await asked(reader) == SAID, "what cannot be read changes nothing"
    assert await asked(reader, Notices(str(policy), tmp_path / "kept")) == SAID, "nor does a restart"
    policy.write_text("")
    assert await asked(reader) == ""
    assert await asked(reader, Notices("", tmp_path / "none")) == ""


def test_the_way_back_to_the_launch() -> None:
    for name in ("login.html", "error.html"):
        assert 'href="/v2/gh/a/b/main?urlpath=lab"' in page(name, way_back=LINK)
        assert "Back to the launch" not in page(name)
    # It is there too after a wrong password.
    assert 'action="/hub/login?next=%2F&amp;from=/v2/gh/a/b/main%3Furlpath%3Dlab"' in page("login.html", way_back=LINK)


def test_what_a_stranger_wrote_is_text() -> None:
    bad = "<img src=x>"
    html = page("login.html", username=bad, login_error=bad)
    html += page("error.html", message=bad, told_title=bad, told_todo=bad)
    html += page("not_running.html", failed=True, failed_message=bad, user=SimpleNamespace(name=bad))
    assert bad not in html
    assert html.count("&lt;img src=x&gt;") >= 6


@pytest.mark.parametrize(
    "asked,prefix,back",
    [
        (LINK, "/", LINK),
        ("/b/v2/gh/a/b/c", "/b/", "/b/v2/gh/a/b/c"),
        ("/v2/gh/a/b/c", "/b/", ""),
        ("", "/", ""),
        ("//evil.example/v2/", "/", ""),
        ("https://evil.example/v2/", "/", ""),
        ("javascript:alert(1)", "/", ""),
        ("/hub/logout", "/", ""),
        ("/v2/../hub/logout", "/", ""),
        ("/v2/%2e%2e/hub/logout", "/", ""),
        ("/v2/a\nb", "/", ""),
        ("/v2/\\evil", "/", ""),
    ],
)
def test_only_launch_links_of_this_site_are_led_back_to(asked: str, prefix: str, back: str) -> None:
    assert pages.way_back(asked, prefix) == back


@pytest.mark.parametrize(
    "address,told",
    [
        ("http://127.0.0.1:8000/", False),
        ("http://localhost/", False),
        ("http://[::1]:80/", False),
        ("https://hub.example.org/", False),
        ("http://hub.example.org/", True),
    ],
)
def test_who_types_where_it_can_be_read_is_told(address: str, *, told: bool) -> None:
    assert pages.unguarded(address) is told
    assert ("without TLS" in page("login.html", unguarded=told)) is told
