"""The record of launches: every line is by its schema, BinderHub's are of what everybody may have alone."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from launcher.errors import BuildFailed, SpawnFailed
from launcher.events import Cancelled, Ready, Stage, State
from launcher.explain import explain
from launcher.model import Account, Image, Kind, RepoRef, Session
from launcher.store.launches import Launch
from launcher.web import launch_log
from launcher.web.launch_log import BINDER, OWN, Asking, LaunchEnds, LaunchLog, Sink
from launcher.web.metrics import Metrics
from launcher.web.origins import asked_from
from tests.fakes.web import FACTS, a_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.web import Site

DIGEST = "sha256:" + "d" * 64
REF = RepoRef("gl", "ada%2Fnice/main", "https://gitlab.com/ada/nice.git", "main")
LAUNCH = Launch(
    "1" * 32, Account("ada", Kind.MEMBER), REF, "", State.READY, 1_700_000_000.25,
    project="aaaaaaaaaa", commit="5" * 40, ended=1_700_000_004.5,
)  # fmt: skip
READY = Ready("aaaaaaaaaa", "/user/project-aaaaaaaaaa/", DIGEST, "Ready", pinning="locked")
SESSION = Session(a_project("aaaaaaaaaa", "ada"), "/user/project-aaaaaaaaaa/")


def valid(lines: list[str]) -> list[dict[str, Any]]:
    """The lines' facts, each by its schema."""
    found = [json.loads(line) for line in lines]
    for one in found:
        schema = {BINDER["$id"]: BINDER, OWN["$id"]: OWN}[one["schema"]]
        jsonschema.validate(one, schema)
        assert one["version"] == schema["version"]
    return found


def test_a_session_is_two_lines() -> None:
    lines: list[str] = []
    log = LaunchLog(lines.append, "https://hub.example.org")
    log.asked(LAUNCH.id, Asking("127.0.0.1:8000", "https://blog.example", build_token=True))
    log.ended(LAUNCH, READY, public=True)
    own, binder = valid(lines)
    assert own == {
        "timestamp": "2023-11-14T22:13:24.500000Z",
        "schema": "repolaunch/launch",
        "version": 1,
        "launch": "1" * 32,
        "outcome": "ready",
        "code": "",
        "stage": "",
        "provider": "gl",
        "spec": "ada%2Fnice/main",
        "public": True,
        "commit": "5" * 40,
        "image": DIGEST,
        "pinning": "locked",
        "kind": "member",
        "build_only": False,
        "afresh": False,
        "seconds": 4.25,
    }
    assert binder == {
        "timestamp": "2023-11-14T22:13:24.500000Z",
        "schema": "binderhub.jupyter.org/launch",
        "version": 6,
        "provider": "GitLab",
        "spec": "ada%2Fnice/main",
        "ref": "5" * 40,
        "status": "success",
        "build_token": True,
        "origin": "hub.example.org",
        "request_origin": "https://blog.example",
    }
    assert "ada-token" not in "".join(lines)


def test_binderhubs_line_is_by_its_schema() -> None:
    """Fields: BinderHub at b9fad995. Providers and the words of `request_origin`: a published reading of that version.

    Version 5, without CKAN and `request_origin`, was read in BinderHub's own repository (0c6ccc97).
    """
    texts = {"timestamp", "schema", "spec", "ref", "origin", "request_origin"}
    known = {"GitHub", "Gist", "GitLab", "Git", "Zenodo", "Figshare", "Hydroshare", "Dataverse", "CKAN"}
    fields = dict(BINDER["properties"])
    assert (BINDER["$id"], BINDER["version"]) == ("binderhub.jupyter.org/launch", 6)
    assert set(fields.pop("provider")["enum"]) == known
    assert fields.pop("status")["enum"] == ["success", "failure"]
    assert {name: one["type"] for name, one in fields.items()} == {
        **dict.fromkeys(texts, "string"),
        "version": "integer",
        "build_token": "boolean",
    }


def test_a_provider_that_binderhub_does_not_know_is_in_ours_alone() -> None:
    lines: list[str] = []
    for provider in ("swh", "ckan"):
        LaunchLog(lines.append).ended(replace(LAUNCH, ref=RepoRef(provider, "x", "y", "")), READY, public=True)
    found = [(one["schema"], one["provider"]) for one in valid(lines)]
    assert found == [(OWN["$id"], "swh"), (OWN["$id"], "ckan"), (BINDER["$id"], "CKAN")]


def test_a_time_has_one_form() -> None:
    lines: list[str] = []
    LaunchLog(lines.append).ended(replace(LAUNCH, ended=1_700_000_004.0), READY, public=True)
    assert {one["timestamp"] for one in valid(lines)} == {"2023-11-14T22:13:24.000000Z"}


@pytest.mark.parametrize(
    "sent, said",
    [
        ({"Origin": "https://blog.example", "Sec-Fetch-Site": "cross-site"}, "https://blog.example"),
        ({"Origin": "https://hub.example.org", "Sec-Fetch-Site": "same-origin"}, "same-origin"),
        ({"Sec-Fetch-Site": "same-origin"}, "same-origin"),
        ({"Sec-Fetch-Site": "none"}, "none"),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "null"),
        ({}, ""),
        ({"Origin": "x" * 60_000}, "x" * 200),
    ],
)
def test_where_a_request_came_from(sent: dict[str, str], said: str) -> None:
    assert asked_from(sent) == said


def test_after_a_restart_how_it_was_asked_for_is_not_known() -> None:
    lines: list[str] = []
    LaunchLog(lines.append).ended(LAUNCH, READY, public=True)
    binder = valid(lines)[1]
    assert (binder["build_token"], binder["origin"], binder["request_origin"]) == (False, "", "")


@pytest.mark.parametrize(
    "event, more",
    [
        (
            explain(BuildFailed("b", "s", (), 1), Stage.BUILD),
            {"outcome": "failed", "code": "build-failed", "stage": "build"},
        ),
        (explain(RuntimeError("x")), {"outcome": "failed", "code": "internal", "stage": ""}),
        (Cancelled("Stopped by ada."), {"outcome": "cancelled", "code": "", "stage": ""}),
        (Ready("", "", DIGEST, "Ready"), {"outcome": "ready", "image": DIGEST}),
    ],
)
def test_what_is_no_session_is_ours_alone(event: Any, more: dict[str, object]) -> None:
    lines: list[str] = []
    LaunchLog(lines.append).ended(replace(LAUNCH, commit=None), event, public=None)
    (own,) = valid(lines)
    assert own.items() >= more.items()


def test_what_is_not_everybodys_is_not_in_binderhubs() -> None:
    lines: list[str] = []
    ends = LaunchEnds(Metrics(), LaunchLog(lines.append))
    image = replace(SESSION.project.image, space="f" * 32)
    ends(LAUNCH, READY, Session(replace(SESSION.project, image=image), SESSION.path))
    ends(replace(LAUNCH, private=True), explain(SpawnFailed("it ended")), None)
    assert [one["public"] for one in valid(lines)] == [False, False]


def test_ends_are_counted_and_recorded() -> None:
    lines: list[str] = []
    metrics = Metrics()
    ends = LaunchEnds(metrics, LaunchLog(lines.append))
    ends(LAUNCH, READY, SESSION)
    ends(replace(LAUNCH, state=State.READY), Ready("", "", DIGEST, "m"), Image("k" * 64, FACTS, None))
    ends(replace(LAUNCH, state=State.FAILED), explain(SpawnFailed("it ended")), None)
    ends(replace(LAUNCH, state=State.CANCELLED), Cancelled("Stopped."), None)
    value = metrics.registry.get_sample_value
    assert value("repolaunch_launches_total", {"outcome": "ready"}) == 2
    assert value("repolaunch_launches_total", {"outcome": "failed"}) == 1
    assert value("repolaunch_launches_total", {"outcome": "cancelled"}) == 1
    assert value("repolaunch_launch_failures_total", {"code": "spawn-failed"}) == 1
    assert [one["schema"] for one in valid(lines)].count(BINDER["$id"]) == 1
    assert [one["public"] for one in valid(lines) if "public" in one] == [True, True, None, None]


def test_a_record_that_fails_ends_no_launch(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: str) -> None:
        raise OSError

    LaunchEnds(Metrics(), LaunchLog(broken))(LAUNCH, READY, SESSION)
    assert "could not be recorded" in caplog.text


async def test_a_launch_of_the_service_is_recorded(bare_site: Site) -> None:
    lines: list[str] = []
    bare_site.launches._ends = LaunchEnds(bare_site.metrics, LaunchLog(lines.append))
    bare_site.script.gate.set()
    launch = await bare_site.launches.start(Account("ada", Kind.MEMBER), REF)
    async for _ in bare_site.launches.follow(launch.id):
        pass
    own, binder = valid(lines)
    assert (own["launch"], own["outcome"], binder["status"]) == (launch.id, "ready", "success")


def test_files_are_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_log, "MOST_BYTES", 1000)
    write = Sink("file", tmp_path)
    for number in range(200):
        write(f"line {number:>40}")
    write.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["launches.jsonl", *(f"launches.jsonl.{n}" for n in range(1, 6))]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert (tmp_path / "launches.jsonl").read_text().endswith(f"line {199:>40}\n")


@pytest.mark.parametrize("where, printed", [("stdout", "a line\n"), ("off", "")])
def test_elsewhere(where: str, printed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Sink(where, tmp_path)("a line")
    assert capsys.readouterr().out == printed
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write = Sink("file", tmp_path / "missing")
    with caplog.at_level(logging.WARNING):
        write("a line")
    assert "a launch could not be recorded: [Errno 2]" in caplog.text
