"""Whatever is sent to the running service: no 500, no answer that the API's description does not name, no traceback.

`make test` sends a few cases of each, always the same; `make test-fuzz` many, new ones each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from launcher.explain import INTERNAL, ROWS, SPOKEN
from launcher.web.app import ROUTES
from tests.fixtures.service import visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.fixtures.service import Service

pytestmark = pytest.mark.engine

MANY = int(os.environ.get("FUZZ_CASES", "0"))
OPERATIONS = [(operation.method, route.path) for route in ROUTES for operation in route.operations]
SENT: Counter[str] = Counter()
ODD_STATUS = {
    "/user/{rest}": {503},
    "/proxy-error/{status}": {411, 413, 500, 502, 503, 504},
    "/health": {503},
    "/oembed": {501},
}
"""Where a status of 500 or more is the answer that is promised."""


def few(most: int) -> Callable[[Any], Any]:
    """How many cases are sent: always the same ones, or many new ones."""
    return settings(
        max_examples=MANY or most,
        derandomize=not MANY,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def told_nothing(text: str, service: Service) -> None:
    """Nothing of the inside is shown: no traceback, no path of this machine, no secret, no control character."""
    assert "Traceback" not in text
    assert "\0" not in text
    assert str(service.data) not in text
    assert INTERNAL.title not in re.sub(r"(?s)<h2 id=.*", "", text), "an error that nobody has thought of"
    for name in ("operator-token", "resolve-secret", "launcher-token", "proxy-token", "cookie-secret"):
        assert (service.data / "secrets" / name).read_text().strip() not in text, name


@pytest.fixture(scope="module")
def people(service: Service) -> dict[str, dict[str, str]]:
    """Nobody, somebody whose token is not good, and the operator."""
    return {"nobody": {}, "stranger": {"Authorization": "token nonsense"}, "operator": service.operator}


@pytest.fixture(scope="module")
def schema(service: Service) -> Any:
    """The API as the service describes it."""
    load_all_checks()
    return schemathesis.openapi.from_url(f"{service.base_url}/api/v1/openapi.json")


@pytest.fixture(scope="module", autouse=True)
def said(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the end, how many cases were sent."""
    yield
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and SENT:
        reporter.write_line(f"\nfuzz: {sum(SENT.values())} cases: {json.dumps(SENT)}")


@pytest.fixture(scope="module")
def ended(service: Service) -> str:
    """The id of a launch that has failed."""
    with requests.Session() as http:
        http.headers.update(service.operator)
        body = {"url": "git://127.0.0.1:1/none.git", "ref": "main"}
        launch: str = http.post(f"{service.base_url}/api/v1/launches", json=body, timeout=30).json()["id"]
        events = http.get(f"{service.base_url}/api/v1/launches/{launch}/events", timeout=60).text
        assert '"type": "failed"' in events
    return launch


@pytest.mark.parametrize("who", ["nobody", "stranger", "operator"])
@pytest.mark.parametrize("method, path", OPERATIONS, ids=str)
def test_the_described_api(
    service: Service, schema: Any, people: dict[str, dict[str, str]], ended: str, who: str, method: str, path: str
) -> None:
    operation = schema[path][method]
    checks = [
        CHECKS.get_one(name)
        for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
    ]

    @few(8)
    @given(case=operation.as_strategy(), known=st.booleans())
    def send(case: Any, *, known: bool) -> None:
        if known and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = ended
        answer = case.call(base_url=service.base_url, headers=people[who], timeout=60, allow_redirects=False)
        SENT["described API"] += 1
        case.validate_response(answer, checks=checks)
        assert answer.status_code < 500 or answer.status_code in ODD_STATUS.get(path, ()), answer.content[:500]
        is_picture = re.match(r"image/(png|x-icon|vnd)", str(answer.headers.get("content-type")).strip("[]'"))
        if path != "/docs/errors" and not is_picture:
            told_nothing(answer.content.decode("utf-8", "replace"), service)

    send()


def raw(service: Service, path: bytes, *headers: bytes) -> tuple[int, str]:
    """The answer to a path that is sent as it is."""
    head = b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head + b"".join(one + b"\r\n" for one in headers) + b"\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode("utf-8", "replace")
    return int(answer.split(maxsplit=2)[1]), answer


ESCAPES = [f"%{n:02x}" for n in range(256)] + [f"%{n:02X}" for n in range(160, 176)]
PIECES = st.one_of(
    st.sampled_from(ESCAPES),
    st.sampled_from(
        ["/", "//", "..", ".", "%2e%2e/", "%252f", "%", "%z", "%u0041", ";", ":", "@", "?", "#", "&", "=", "\\"]
    ),
    st.sampled_from(["gh", "git", "gl", "HEAD", "main", "git%3A%2F%2F127.0.0.1%3A1%2Fa.git", "-", "--upload-pack=x"]),
    st.text(max_size=8).map(lambda text: quote(text, safe="")),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8),
    st.binary(min_size=1, max_size=4).map(lambda some: some.decode("latin-1")),
    st.integers(1, 3000).map(lambda n: "a" * n),
)
TAILS = st.lists(PIECES, max_size=8).map("".join).map(lambda text: re.sub("[\0-\x20\x7f]", "", text).encode("latin-1"))
AS_PAGE = (b"Accept: text/html",)


@few(250)
@given(provider=st.sampled_from(["gh", "gl", "git", "svn", "%67h", ""]), tail=TAILS)
def test_every_launch_page(service: Service, provider: str, tail: bytes) -> None:
    status, answer = raw(service, f"/v2/{provider}/".encode() + tail, *AS_PAGE)
    SENT["launch pages"] += 1
    # Node refuses bytes that no address has (400) and heads beyond 16 KiB (431).
    assert status in {200, 400, 404, 431}, answer[:300]
    told_nothing(answer, service)


LOOPBACK = quote("git://127.0.0.1:1/", safe="")
ALLOWED = {row.status for row in (*ROWS.values(), *SPOKEN) if row is not INTERNAL} | {429}


@few(120)
@given(start=st.sampled_from([f"git/{LOOPBACK}", "git/", "svn/", "git"]), tail=TAILS)
def test_every_launch_by_a_program(service: Service, start: str, tail: bytes) -> None:
    """Addresses on this machine only: nothing is asked of the world."""
    assume(start.endswith(LOOPBACK) or b"%3a" not in tail.lower())
    path = f"/build/{start}".encode() + tail
    status, answer = raw(service, path, b"Accept: text/event-stream")
    SENT["launches by /build"] += 1
    assert status in {200, 400, 404, 431}, answer[:300]
    told_nothing(answer, service)
    if "text/event-stream" not in answer.lower():
        assert status != 200
        return
    events = [json.loads(line) for line in re.findall(r"^data: (.*)$", answer, re.MULTILINE)]
    assert events[-1]["phase"] == "failed", events[-1]
    assert events[-1]["status_code"] in ALLOWED, events[-1]


NUMBERS = st.one_of(
    st.integers().map(str),
    st.integers(0, 40).map(str),
    st.text(max_size=20),
    st.sampled_from(["", "0", "-1", "1e9", "9" * 400, "٣", "1 ", "0x1", "NaN", "1_000"]),
)


@few(120)
@given(since=st.none() | NUMBERS, last=st.none() | NUMBERS)
def test_the_event_streams_parameters(service: Service, ended: str, since: str | None, last: str | None) -> None:
    query = "" if since is None else f"?from={quote(since, safe='')}"
    shown = re.sub("[\0-\x1f\x7f]", "", last or "").encode()
    headers = [f"Authorization: {service.operator['Authorization']}".encode()]
    headers += [b"Last-Event-ID: " + shown] if last is not None else []
    status, answer = raw(service, f"/api/v1/launches/{ended}/events{query}".encode(), *headers)
    SENT["event streams"] += 1
    assert status in {200, 204, 400}, answer[:300]
    told_nothing(answer, service)
    if status == 200:
        assert '"type": "failed"' in answer
    if status == 400:
        assert '"code": "bad-request"' in answer


@few(60)
@given(last=st.text(max_size=80) | st.from_regex(r"[0-9]{1,12}-[0-9a-f]{32}-[0-9a-f]{32}", fullmatch=True))
def test_a_forged_event_id_leads_to_no_launch(service: Service, ended: str, last: str) -> None:
    shown = re.sub("[\0-\x1f\x7f]", "", last).encode()
    path = f"/build/git/{LOOPBACK}none.git/main".encode()
    status, answer = raw(service, path, b"Accept: text/event-stream", b"Last-Event-ID: " + shown)
    SENT["forged event ids"] += 1
    assert status == 200, answer[:300]
    assert ended not in answer
    told_nothing(answer, service)


@asynccontextmanager
async def guest(service: Service) -> AsyncIterator[dict[str, str]]:
    """The headers of a guest's browser."""
    async with visiting(service) as visitor:
        await visitor.enter()
        cookies = "; ".join(f"{one.key}={one.value}" for one in visitor.http.cookie_jar if one["path"] != "/hub/")
        yield {"Cookie": cookies, "X-XSRFToken": visitor.xsrf}


async def test_a_guests_browser_may_send_anything(service: Service, schema: Any, ended: str) -> None:
    """The operations that ask who it is, by cookie, with the token that a page sends and without it."""
    async with guest(service) as headers:
        for method, path in OPERATIONS:
            if not path.startswith("/api/v1/"):
                continue

            @few(4)
            @given(case=schema[path][method].as_strategy(), token=st.booleans())
            def send(case: Any, *, token: bool) -> None:
                if "id" in (case.path_parameters or {}):
                    case.path_parameters["id"] = ended
                shown = headers if token else {"Cookie": headers["Cookie"]}
                answer = case.call(base_url=service.base_url, headers=shown, timeout=60, allow_redirects=False)
                SENT["a guest's browser"] += 1
                assert answer.status_code < 500, (case.method, case.path, answer.text[:500])
                told_nothing(answer.text, service)

            await asyncio.to_thread(send)
