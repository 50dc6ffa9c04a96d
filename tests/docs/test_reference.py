"""Nothing is undocumented: docs/reference is what the code says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from launcher.__main__ import main
from launcher.events import Stage
from launcher.explain import ROWS, SPOKEN
from launcher.settings import Settings
from launcher.web import binder, launch_log, reference
from launcher.web.app import ROUTES
from launcher.web.events import TYPES
from launcher.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.events import Event
    from launcher.web.routes import Route

DOCS = Path(__file__).parents[2] / "docs"
MADE_BY = "python -m launcher.web.reference"


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    text = (DOCS / "reference" / name).read_text()
    assert text == reference.PAGES[name](), f"make it again: {MADE_BY}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{name}` | `REPOLAUNCH_{name.upper()}` |" in (DOCS / "reference" / "settings.md").read_text()
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("row", [*ROWS.values(), *SPOKEN], ids=lambda row: row.code)
def test_every_error_has_an_anchor(row: object) -> None:
    assert f"\n## {getattr(row, 'code', '')}\n" in (DOCS / "reference" / "errors.md").read_text()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_route_is_documented(route: object) -> None:
    path = re.escape(f"`{getattr(route, 'path', '')}`")
    text = (DOCS / "reference" / "http.md").read_text()
    assert re.search(rf"^## (GET|POST|DELETE) {path}$", text, re.MULTILINE)


@pytest.mark.parametrize("metric", list(Metrics().registry.collect()), ids=lambda metric: metric.name)
def test_every_metric_is_documented(metric: object) -> None:
    name = getattr(metric, "name", "")
    assert re.search(rf"^\| `{name}(_total)?` \|", (DOCS / "reference" / "metrics.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("schema", [launch_log.OWN, launch_log.BINDER], ids=lambda schema: schema["$id"])
def test_every_field_of_the_record_of_launches_is_documented(schema: dict[str, Any]) -> None:
    text = (DOCS / "reference" / "launch-log.md").read_text().partition(f"\n## {schema['$id']}\n")[2]
    assert all(f"| `{name}` |" in text for name in schema["properties"])
    assert all(one["description"] for one in schema["properties"].values())


def test_every_type_of_event_and_every_stage_is_documented() -> None:
    text = (DOCS / "reference" / "events.md").read_text()
    assert all(f"| `{name}` |" in text for name in TYPES.values())
    assert all(f"`{stage.value}`" in text for stage in Stage)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_field_of_an_event_is_documented(kind: type) -> None:
    rows = (DOCS / "reference" / "events.md").read_text().partition("\n## BinderHub")[0].splitlines()
    (row,) = [row for row in rows if row.startswith(f"| `{TYPES[kind]}` |")]
    assert [one.name for one in fields(kind) if f"`{one.name}`" not in row] == []


def _every_event() -> Iterator[Event]:
    """Of each type one, of those that are in a stage one for each."""
    for kind in TYPES:
        names = [one.name for one in fields(kind)]
        for stage in Stage if "stage" in names else [None]:
            known: dict[str, Any] = {
                "stage": stage,
                "message": "",
                "seen": "",
                "todo": "",
                "title": "",
                "status": 500,
                "percent": 5,
            }
            yield kind(**{name: known.get(name, "x") for name in names})


def _binder_rows() -> Iterator[tuple[str, list[str]]]:
    """A phase, and the fields that one row of its table names."""
    text = (DOCS / "reference" / "events.md").read_text().partition("## BinderHub")[2].partition("\n## ")[0]
    for phase, names in re.findall(r"^\| `(\w+)`[^|]*\|([^|]*)\|", text, re.MULTILINE):
        yield phase, re.findall(r"`(\w+)`", names)


def test_the_phases_and_fields_of_binderhubs_events_are_those_that_are_documented() -> None:
    told: set[tuple[str, str]] = set()
    for event in _every_event():
        sent = binder.binder_fields(event)
        told |= {(str(sent["phase"]), name) for name in ["", *(sent.keys() - {"phase", "message"})]}
    documented = {(phase, name) for phase, names in _binder_rows() for name in ["", *names]}
    assert told - documented == set()
    assert {phase for phase, _ in documented} == {phase for phase, _ in told}
    # What `ready` has besides is made for each visitor (tests/api/test_web_binder.py).
    assert {pair for pair in documented - told if pair[0] != "ready"} == set()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_what_a_route_takes_and_answers_is_said(route: Route) -> None:
    text = (DOCS / "reference" / "http.md").read_text()
    for one in route.operations:
        section = text.partition(f"\n## {one.method} `{route.path}`\n")[2].partition("\n## ")[0]
        assert one.summary.endswith(".")
        assert all(f"Query `{name}`: {meaning}" in section for name, meaning in one.query)
        assert all(f"Header `{name}`: {meaning}" in section for name, meaning in one.headers)
        assert all(meaning.endswith(".") for _, meaning in (*one.query, *one.headers))


def _commands(group: click.Group, before: str = "repolaunch") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


@pytest.mark.parametrize("command", list(_commands(main)))
def test_every_command_is_documented(command: str) -> None:
    pages = [DOCS.parent / "README.md", *(DOCS / "how-to").glob("*.md"), *(DOCS / "tutorial").glob("*.md")]
    assert any(re.search(rf"\b{re.escape(command)}\b", page.read_text()) for page in pages)


def test_links_between_errors_lead_somewhere() -> None:
    http, errors = ((DOCS / "reference" / name).read_text() for name in ("http.md", "errors.md"))
    for code in re.findall(r"errors\.md#([a-z-]+)", http):
        assert f"\n## {code}\n" in errors
