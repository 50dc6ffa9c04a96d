"""deploy/monitoring against a real Prometheus: every metric named there exists, every alert comes when it should."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from launcher.web.metrics import Metrics
from tests.fixtures.prometheus import MONITORING, program, watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.service import Service

METRIC = re.compile(r"\b(?:repolaunch|binderhub|process)_[a-z0-9_]+")
LABELS = re.compile(r"\{([^}]*)\}|\b(?:by|without) \(([^)]*)\)")
PART_OF = re.compile(r"_(bucket|sum|count)$")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return found


def shown() -> Iterator[str]:
    """Every expression of the dashboard."""
    found = dashboard()
    for panel in found["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (one["expr"] for one in found["annotations"]["list"])


EXPRESSIONS = [*(rule["expr"] for rule in rules()), *shown()]


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "config", "prometheus.yml")


def test_every_alert_comes_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules.test.yml")
    tests = yaml.safe_load((MONITORING / "rules.test.yml").read_text())["tests"]
    seen: dict[str, set[bool]] = {}
    for test in tests:
        for one in test["alert_rule_test"]:
            seen.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert seen == {rule["alert"]: {True, False} for rule in rules()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["todo"].endswith((".", "tell us."))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_metrics_and_labels_are_ours(expression: str) -> None:
    registry: Any = Metrics().registry
    names = [PART_OF.sub("", name) for name in METRIC.findall(expression)]
    known = {"up": (), **{name: one._labelnames for name, one in registry._names_to_collectors.items() if _has(one)}}
    process = {name for one in registry.collect() for name in (one.name, f"{one.name}_total") if "process_" in name}
    assert names or "up{" in expression
    assert set(names) <= set(known) | process
    labels = {"job", "le", *(label for name in names for label in known.get(name, ()))}
    for inside, grouped in LABELS.findall(expression):
        used = re.findall(r"(\w+)(?:=|!=|=~|!~)\"", inside) + re.findall(r"\w+", grouped)
        assert set(used) <= labels, (used, expression)


def _has(collector: Any) -> bool:
    return hasattr(collector, "_labelnames")


def test_panels_lie_side_by_side_and_have_one_id_each() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.engine
def test_a_prometheus_reads_the_running_service_and_every_expression(service: Service, tmp_path: Path) -> None:
    with watching(f"127.0.0.1:{service.port}", tmp_path) as prometheus:
        prometheus.until('up{job="repolaunch"} == 1')
        told = {one["metric"] for one in prometheus.ask("targets/metadata", limit="10000")}
        for expression in EXPRESSIONS:
            for name in METRIC.findall(expression):
                assert PART_OF.sub("", name) in told, name
            prometheus.ask("query", query=_filled(expression))
        parts = prometheus.until("repolaunch_part_well")
        assert {"JupyterHub API", "database", "build worker"} <= {one["metric"]["part"] for one in parts}
        assert [one["value"][1] for one in parts] == ["1"] * len(parts)
        prometheus.until("binderhub_inprogress_builds >= 0")
        found = prometheus.ask("rules")["groups"][0]["rules"]
        assert [rule["health"] for rule in found if rule["health"] != "unknown"] == ["ok"] * len(found)


def _filled(expression: str) -> str:
    """As Grafana asks."""
    return expression.replace("$job", "repolaunch").replace("$__rate_interval", "1m")
