"""Pages, static files, badges, and the answers that every address shares."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import time
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from launcher.errors import WorkspaceStopped
from launcher.explain import ROWS
from launcher.rates import Rates
from launcher.web import pages
from launcher.web.build_tokens import BuildTokens
from tests.fixtures.web import SECRET, served
from tests.fixtures.web_built import LAUNCH, binder_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.web import Site

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


async def text(site: Site, path: str, status: int = 200, **headers: str) -> str:
    """The page at `path`."""
    async with site.client.get(URL(site.base + path, encoded=True), headers=HTML | headers) as answer:
        found = await answer.text()
        assert answer.status == status, found
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        return found


def config(html: str) -> dict[str, Any]:
    """What the page's script is told."""
    found = re.search(r'<script id="page-config" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    value: dict[str, Any] = json.loads(found[1])
    return value


async def test_launch_page(built: Site) -> None:
    html = await text(built, "/v2/git/https%3A%2F%2Fgit.example.org%2Fa.git/main?urlpath=lab/tree/a%20b")
    assert config(html) == {
        "baseUrl": "/",
        "provider": "git",
        "spec": "https%3A%2F%2Fgit.example.org%2Fa.git/main",
        "urlpath": "lab/tree/a b",
        "opened": ["credential-damaged", "credential-refused", "repository-missing", "repository-private"],
    }
    assert '<script type="module" src="/static/assets/launch-bbbbbbbb.js"></script>' in html
    assert '<link rel="modulepreload" href="/static/assets/shared-aaaaaaaa.js">' in html
    assert html.count("dddddddd.css") == html.count("cccccccc.css") == 1
    assert '<div id="app">' in html
    assert built.script.asked == []


async def test_window_page_config(bare_site: Site, dist: Path) -> None:
    tokens = BuildTokens(SECRET, Rates(1, time.monotonic), time.time)
    async with served(bare_site, replace(bare_site.web, dist=dist, build_tokens=tokens)) as site:
        found = binder_config(await text(site, "/v2/gh/ada/nice/main"))
        token = found.pop("buildToken")
        assert tokens.spend(token, "gh/ada/nice/main", site.base, "") is True
        assert [row["id"] for row in found.pop("repoProviders")][:2] == ["gh", "gl"]
        assert found == {
            "baseUrl": "/",
            "badgeBaseUrl": f"{site.base}/",
            "logoUrl": "/static/icon.svg",
            "logoWidth": "64px",
            "aboutMessage": "",
            "bannerHtml": "",
            "binderVersion": "",
        }
        for path, status in (("/v2/gh/ada/nice/main", 200), ("/v2/gh/only", 400), ("/", 200)):
            assert "buildToken" not in binder_config(await text(site, path, status)), "enough, no link, no link"


async def test_other_sites_find_what_to_show(built: Site) -> None:
    html = await text(built, "/v2/gh/ada/nice/main%22%3E")
    shown = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', html))
    assert shown["title"] == "GitHub: ada/nice/main%22%3E"
    assert shown["url"] == f"{built.base}/v2/gh/ada/nice/main%22%3E"
    assert shown["image"] == f"{built.base}/logo_social.png"
    found = re.search(r'<link rel="alternate" type="application/json\+oembed" href="([^"]*)"', html)
    assert found
    answer = await built.json("GET", URL(unescape(found[1]), encoded=True).raw_path_qs)
    assert answer["title"] == shown["title"]


async def test_below_a_path_pages_ask_there_for_all(bare_site: Site, dist: Path) -> None:
    public = "https://example.org/services/binder"
    async with served(bare_site, replace(bare_site.web, dist=dist, public_url=public)) as site:
        pages = [await text(site, f"/services/binder{path}") for path in ("/", "/?url=github.com/a/b", "/v2/gh/a/b/c")]
        pages += [await text(site, f"/services/binder{path}", 404) for path in ("/nowhere",)]
    for html in pages:
        addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', html)
        assert addresses
        assert [one for one in addresses if not one.startswith("/services/binder/")] == []
    assert config(pages[-2])["baseUrl"] == binder_config(pages[-2])["baseUrl"] == "/services/binder/"
    assert "next=/services/binder/v2/gh/a/b/c" in pages[-2]


@pytest.mark.parametrize(
    "query, urlpath",
    [
        ("", ""),
        ("?urlpath=lab", "lab"),
        ("?labpath=a.ipynb", "doc/tree/a.ipynb"),
        ("?filepath=a.ipynb", "tree/a.ipynb"),
    ],
)
async def test_urlpath(built: Site, query: str, urlpath: str) -> None:
    assert config(await text(built, f"/v2/gh/a/b/c{query}"))["urlpath"] == urlpath


async def test_hostile_text_stays_text(built: Site) -> None:
    path = "/v2/gh/a/b/%3C/script%3E%3Cscript%3Ealert(1)%00%E2%80%AE?urlpath=%3C/script%3E%3Cimg%20src=x%3E"
    html = await text(built, path, 400)
    assert not {"\0", "\u202e"} & set(html)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert config(html)["urlpath"] == "</script><img src=x>"


@pytest.mark.parametrize(
    "path, seen",
    [
        ("/api/v1/links?url=ftp://x/%60%3Cimg%20src=x%3E%60", "<code>&lt;img src=x&gt;</code>"),
        ("/?url=%22%3E%3Cimg%20src=x%3E", "&lt;img src=x&gt;"),
    ],
)
async def test_what_was_asked_is_text_in_its_refusal(built: Site, path: str, seen: str) -> None:
    html = await text(built, path, 400)
    assert seen in html
    assert "<img src=x" not in html


@pytest.mark.parametrize("path, status", [("/v2/svn/a/b", 404), ("/v2/gh/only", 400), ("/v2/gh/a/b/%ff", 400)])
async def test_a_link_that_cannot_be_one_has_the_status_of_its_error(built: Site, path: str, status: int) -> None:
    assert '<div id="app">' in await text(built, path, status)


async def test_home_page(built: Site) -> None:
    html = await text(built, "/")
    assert 'src="/static/assets/home-eeeeeeee.js"' in html
    assert config(html)["provider"] == ""


async def test_credentials_page(built: Site) -> None:
    html = await text(built, "/credentials?repository=%22%3E%3Cimg%20src=x%3E&next=/v2/gh/a/b/c")
    assert 'src="/static/assets/credentials-ffffffff.js"' in html
    assert config(html)["connects"] == []
    assert "<img src=x" not in html
    assert "Without JavaScript" in html


async def test_without_a_frontend_pages_say_so(site: Site) -> None:
    html = await text(site, "/v2/gh/a/b/c", 503)
    assert "have not been built on this machine" in html
    assert "<script" not in html


async def test_the_hubs_pages_find_the_styles_under_one_name(built: Site) -> None:
    async with built.client.get(built.base + "/static/style.css") as answer:
        assert (await answer.text(), answer.headers["Content-Type"]) == ("a {}", "text/css; charset=utf-8")
        assert "immutable" not in answer.headers["Cache-Control"]


async def test_static_files(built: Site) -> None:
    path = built.base + "/static/assets/launch-bbbbbbbb.js"
    async with built.client.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"].startswith("text/javascript")
        etag = answer.headers["Etag"]
    for accepted, kind in (
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0, gzip", "gzip"),
        ("brotli, gzipped", None),
        ("", None),
    ):
        async with built.client.get(path, headers={"Accept-Encoding": accepted}, auto_decompress=False) as answer:
            assert answer.headers.get("Content-Encoding") == kind
            assert answer.headers["Vary"] == "Accept-Encoding"
            sent = await answer.read()
            assert sent == {"br": b"packed with brotli", "gzip": gzip.compress(LAUNCH, mtime=0)}.get(kind or "", LAUNCH)
    async with built.client.get(path, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    async with built.client.get(path, headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert len(await answer.read()) == 5000


@pytest.mark.parametrize(
    "path",
    [
        "/static/.vite/manifest.json",
        "/static/assets/launch-bbbbbbbb.js.map",
        "/static/assets/launch-bbbbbbbb.js.br",
        "/static/../handler.py",
        "/static/%2e%2e/handler.py",
        "/static//etc/passwd",
        "/static/",
    ],
)
async def test_no_other_files(built: Site, path: str) -> None:
    async with built.client.get(URL(built.base + path, encoded=True)) as answer:
        assert answer.status == 404


# ---- sessions that have stopped
async def test_stopped_session_page_leads_back(site: Site) -> None:
    html = await text(site, "/user/project-aaaaaaaaaa/lab/tree/x?token=secret", 503)
    assert "This session has stopped" in html
    assert 'href="/api/v1/projects/aaaaaaaaaa/open"' in html
    assert "secret" not in html


async def test_a_session_that_was_stopped_for_its_size_says_so(site: Site) -> None:
    site.storage.notices["aaaaaaaaaa"] = WorkspaceStopped("21.0 GiB", "20.0 GiB", 15)
    html = await text(site, "/user/project-aaaaaaaaaa/lab", 503)
    assert "The session was stopped: its workspace is too large" in html
    assert "It holds 21.0 GiB and may hold 20.0 GiB. Every file is as it was saved." in html
    assert 'href="/api/v1/projects/aaaaaaaaaa/open"' in html
    assert "This session has stopped" in await text(site, "/user/project-bbbbbbbbbb/lab", 503)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_programs_are_told_in_json(site: Site, method: str) -> None:
    path = "/user/project-aaaaaaaaaa/api/contents"
    answer = await site.json(method, path, status=503, headers={"Accept": "application/json"})
    assert answer["error"]["code"] == "session-stopped"


async def test_websockets_are_told_too(site: Site) -> None:
    headers = HTML | {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Version": "13",
    }
    answer = await site.json("GET", "/user/project-aaaaaaaaaa/api/kernels/x/channels", status=503, headers=headers)
    assert answer["error"]["code"] == "session-stopped"


@pytest.mark.parametrize("path", ["/user/somebody/lab", "/user/project-UP%3C/x", "/user/"])
async def test_other_users_pages_offer_no_way(site: Site, path: str) -> None:
    assert 'class="button primary"' not in await text(site, path, 503)


# ---- every answer
@pytest.mark.parametrize("path", ["/", "/v2/gh/a/b/c", "/credentials", "/docs/errors", "/user/x/", "/nowhere"])
async def test_headers_of_pages(built: Site, path: str) -> None:
    async with built.client.get(built.base + path, headers=HTML) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        html = await answer.text()
        ours = re.findall(r"<script>(.*?)</script>", html)
        digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in ours]
        allowed = "".join(f" 'sha256-{digest}'" for digest in digests)
        assert f"script-src 'self'{allowed};" in policy
        assert len(ours) == (path in {"/", "/v2/gh/a/b/c", "/credentials"})
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        for part in (
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            "trusted-types lit-html",
            "base-uri 'none'",
            "form-action 'self'",
            "connect-src 'self'",
            "require-trusted-types-for 'script'",
        ):
            assert part in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in answer.headers, "the site has no TLS"
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Server" not in answer.headers
    assert not re.search(
        r"<style|\sstyle=|\son\w+=|<script(?![^>]*(src=|application/json)|>window\.pageConfig = )", html
    )


@pytest.mark.parametrize(
    "wildcard, policy", [(False, "max-age=31536000"), (True, "max-age=31536000; includeSubDomains")]
)
async def test_with_tls_browsers_are_told_to_stay_there(bare_site: Site, *, wildcard: bool, policy: str) -> None:
    web = replace(bare_site.web, public_url="https://hub.example.org", wildcard=wildcard)
    async with served(bare_site, web) as site:
        for path in ("/docs/errors", "/nowhere", "/api/v1/me", "/health"):
            async with site.client.get(site.base + path) as answer:
                assert answer.headers["Strict-Transport-Security"] == policy
                assert answer.headers["Cache-Control"] == "no-store"
        async with site.client.get(site.base + "/api/v1/login", allow_redirects=False) as answer:
            assert "; Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "status, code, told",
    [
        ("411", 411, "The request does not say how long it is"),
        ("413", 413, "Its body has more than 1048576 bytes."),
        ("500", 500, "The request cannot be understood"),
        ("503", 503, "This part of the service does not answer"),
        ("x", 500, "The request cannot be understood"),
    ],
)
async def test_the_proxys_word(site: Site, status: str, code: int, told: str) -> None:
    assert told in await text(site, f"/proxy-error/{status}?url=/v2/gh/a/b/c", code)
    answer = await site.json("GET", f"/proxy-error/{status}?url=/api/v1/launches", status=code)
    assert answer["error"]["status"] == code


@pytest.mark.parametrize("path", ["/nowhere", "/v2", "/api/v1", "/api/v1/nothing", "/internal", "/_config"])
async def test_a_404_is_a_404(site: Site, path: str) -> None:
    assert "There is no such page" in await text(site, path, 404)
    answer = await site.json("GET", path, status=404, headers={"Accept": "application/json"})
    assert answer["error"]["code"] == "page-missing"


@pytest.mark.parametrize(
    "path", ["/", "/v2/gh/a/b/c", "/health", "/versions", "/badge.svg", "/docs/errors", "/metrics"]
)
async def test_head_where_get(built: Site, path: str) -> None:
    async with built.client.get(built.base + path) as got, built.client.head(built.base + path) as head:
        assert head.status == got.status
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert await head.read() == b""


@pytest.mark.parametrize(
    "method, path", [("POST", "/"), ("DELETE", "/health"), ("PUT", "/api/v1/launches"), ("BREW", "/")]
)
async def test_methods_that_are_not_there(site: Site, method: str, path: str) -> None:
    async with site.client.request(method, site.base + path) as answer:
        assert answer.status == 405
        assert (await answer.json())["error"]["code"] == "method-refused"
        assert method not in answer.headers["Allow"]
        assert "OPTIONS" in answer.headers["Allow"]


async def test_options_name_the_methods(site: Site) -> None:
    async with site.client.options(site.base + "/api/v1/launches") as answer:
        assert (answer.status, answer.headers["Allow"]) == (204, "GET, POST, HEAD, OPTIONS")
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_errors_page_has_an_anchor_for_every_error(site: Site) -> None:
    html = await text(site, "/docs/errors")
    assert all(f'id="{row.code}"' in html for row in ROWS.values())
    assert "&lt;provider&gt;" in html


def test_script_json_cannot_end_its_element() -> None:
    found = str(pages.script_json({"a": "</script><!--\u2028&"}))
    assert not set("<>&\u2028") & set(found)
    assert json.loads(found) == {"a": "</script><!--\u2028&"}


async def test_public_url_wins_over_the_host_header(bare_site: Site, dist: Path) -> None:
    web = replace(bare_site.web, dist=dist, public_url="https://hub.example.org")
    async with served(bare_site, web) as site:
        html = await text(site, "/user/project-aaaaaaaaaa/lab", 503, Host="evil.example.org")
    assert 'href="https://hub.example.org/api/v1/projects/aaaaaaaaaa/open"' in html
