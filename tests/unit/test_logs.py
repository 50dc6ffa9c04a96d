"""Logs: a line for people or a line of JSON, the launch that it belongs to, never a secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from builders import logs
from builders.logs import LAUNCH, Human, Json, readable, without_secrets
from builders.requests import RequestWrong, format_request, parse_request
from launcher.events import Log, Stage
from launcher.explain import explain
from launcher.launches import Launches
from launcher.model import Account, Kind, RepoRef, Session
from launcher.store.launches import LaunchRows
from tests.fakes.web import a_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.stages import Asked, LaunchTell
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs

ONE, OTHER = "1" * 32, "2" * 32
log = logging.getLogger("some.part")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What this process logs, as JSON."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json())
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    yield stream
    root.handlers = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def record(message: str, *args: object, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord("some.part", logging.WARNING, "", 1, message, args, sys.exc_info() if error else None)


def test_json_is_one_line_whatever_is_told() -> None:
    text = ""
    try:
        int("two\nlines \u2028 <b>")
    except ValueError:
        text = Json().format(record("a\nb %s", "c\r\nd", error=True))
    assert "\n" not in text
    assert text.isascii()
    facts = json.loads(text)
    assert facts.items() >= {"level": "warning", "logger": "some.part", "message": "a\nb c\r\nd"}.items()
    assert facts["error"].endswith(r"base 10: 'two\nlines \u2028 <b>'")
    assert facts["time"].endswith("Z")
    assert "launch" not in facts


def test_for_people() -> None:
    assert Human().format(record("told")).endswith(" WARNING some.part: told")
    LAUNCH.set(ONE)
    try:
        assert Human().format(record("told")).endswith(f" WARNING some.part: told [launch {ONE}]")
    finally:
        LAUNCH.set("")


@pytest.mark.parametrize(
    "text, shown",
    [
        ("https://ada:pa55@host/x", "https://(hidden)@host/x"),
        ("postgresql://u:p@host/db", "postgresql://(hidden)@host/db"),
        ("Authorization: token 4c9184f37cff01bcdc32dc486ec36961", "Authorization: (hidden)"),
        ("Bearer ghp_16C7e42F292c6912E7710c838347Ae178B4a", "(hidden)"),
        ("GET /user/x/?token=abc123&a=b", "GET /user/x/?(hidden)&a=b"),
        ("/oauth_callback?code=x1&state=y2", "/oauth_callback?(hidden)&(hidden)"),
        ("the token of a session that a program started", "the token of a session that a program started"),
        ("https://host/a@b", "https://host/a@b"),
        ("exit code=1", "exit (hidden)"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert shown in Human().format(record("%s", text))
    assert json.loads(Json().format(record("%s", text)))["message"] == shown


@pytest.mark.parametrize("form, begins", [("json", '{"time": "'), ("human", "20")])
def test_a_process_logs_in_the_form_that_was_chosen(form: str, begins: str) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    stream = io.StringIO()
    try:
        logs.begin(form, "warning", stream)
        log.info("not told")
        log.warning("told")
    finally:
        root.handlers = before
        root.setLevel(level)
    assert stream.getvalue().startswith(begins)
    assert stream.getvalue().count("told") == 1


@pytest.mark.parametrize(
    "line, shown",
    [
        ("ValueError: x", "ValueError: x"),
        ('{"message": "it broke", "error": "Traceback\\nValueError: x"}', "it broke ValueError: x"),
        ('{"message": "told"}', "told"),
        ('{"message": 5}', "5"),
        ("{nonsense", "{nonsense"),
        ('{"other": 1}', '{"other": 1}'),
    ],
)
def test_a_line_of_either_form_for_people(line: str, shown: str) -> None:
    assert readable(line) == shown


async def test_every_line_of_a_launch_carries_its_id_and_no_other(
    stream: io.StringIO, database: Database, logs: EventLogs
) -> None:
    async def story(asked: Asked, tell: LaunchTell) -> Session:
        log.info("of %s", asked.id)
        await asyncio.gather(asyncio.to_thread(log.info, "of %s in a thread", asked.id), deeper(asked))
        tell(Log(Stage.BUILD, "line"))
        if asked.id == OTHER:
            raise ValueError("it broke")
        return Session(a_project("aaaaaaaaaa", "ada"), "/user/project-aaaaaaaaaa/")

    async def deeper(asked: Asked) -> None:
        await asyncio.sleep(0.01)
        log.info("of %s in a task", asked.id)

    ids = iter([ONE, OTHER])
    launches = Launches(story, LaunchRows(database), logs, explain, clock=lambda: 1.0, new_id=lambda: next(ids))
    for name in ("ada", "bob"):
        await launches.start(Account(name, Kind.MEMBER), RepoRef("gh", f"{name}/x/main", "https://h/x", "main"))
    for one in (ONE, OTHER):
        async for _ in (await launches.log(one)).follow():
            pass
    log.info("of nobody")
    await launches.close()
    told = lines(stream)
    for line in told:
        if " of " in f" {line['message']}" and line["message"] != "of nobody":
            assert line["launch"] == line["message"].split()[1]
    assert [one.get("launch") for one in told if one["message"] == "of nobody"] == [None]
    about = {name: [one["message"] for one in told if one.get("launch") == name] for name in (ONE, OTHER)}
    assert [len(found) for found in about.values()] == [5, 6]
    assert about[ONE][0] == "gh ada/x/main is launched"
    assert about[ONE][-1] == "it ended after 0.0 s: ready"
    assert about[OTHER][-2:] == ["the launch broke", "it ended after 0.0 s: internal"]


async def test_what_keeps_the_events_of_all_is_nobodys(logs: EventLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def keep(_: object) -> None:
        seen.append(LAUNCH.get())

    monkeypatch.setattr(logs.writer, "_keep", keep)
    LAUNCH.set(ONE)
    logs.create("a").tell(Log(Stage.BUILD, "x"))
    LAUNCH.set("")
    await asyncio.sleep(0.05)
    assert seen == [""]
    monkeypatch.undo()


def test_the_build_worker_is_told_for_which_launch() -> None:
    assert parse_request(format_request("has", {"engine_id": "sha256:" + "a" * 64}, ONE)).launch == ONE
    assert parse_request(format_request("registry", {})).launch == ""
    for wrong in ("x", "1" * 33, 7, ["1"], "1" * 31 + "\n"):
        with pytest.raises(RequestWrong, match="the launch is not of its form"):
            parse_request(json.dumps({"verb": "registry", "launch": wrong}).encode())
