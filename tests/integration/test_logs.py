"""What the running service logs: JSON on every line, the launch's id from part to part, and no secret."""

from __future__ import annotations

import json
import secrets
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.service import visiting

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = pytest.mark.engine


def lines(service: Service, part: str) -> list[dict[str, Any]]:
    """What a part has logged; what is no JSON shows here. The hub tells of its configuration before it has read it."""
    told = (service.data / "logs" / f"{part}.log").read_text().splitlines()
    if part == "hub":
        told = list(dropwhile(lambda line: not line.startswith("{"), told))
    return [json.loads(line) for line in told]


async def test_a_launch_is_found_in_every_parts_log_by_its_id(service: Service, git_daemon: GitHost) -> None:
    steps = f"FROM localhost/repolaunch/base:1\nRUN echo {secrets.token_hex(8)}\n"
    repo = git_daemon.make_repo(files={"Dockerfile": steps})
    async with visiting(service) as visitor:
        await visitor.enter()
        status, launch = await visitor.post("/api/v1/launches", {"url": repo.url, "ref": "main"})
        assert status == 201, launch
        events = [event async for event in visitor.follow(launch["id"])]
        assert events[-1]["type"] == "ready", events[-1]
        await visitor.session(events[-1]["path"])
        project = events[-1]["project"]
        await visitor.call("DELETE", f"/api/v1/sessions/{project}")
    told = {part: lines(service, part) for part in ("launcher", "worker", "hub")}
    of_it = {
        part: [one["message"] for one in found if one.get("launch") == launch["id"]] for part, found in told.items()
    }
    assert of_it["launcher"][0].startswith("git ")
    assert any(message.startswith("it ended after") for message in of_it["launcher"])
    assert any(message.startswith("build ended after") for message in of_it["worker"])
    assert any(message.endswith(f"for launch {launch['id']}") for message in of_it["hub"])
    assert all({"time", "level", "logger", "message"} <= set(one) for found in told.values() for one in found)


async def test_no_part_logs_a_secret(service: Service) -> None:
    known = [path.read_text().strip() for path in (service.data / "secrets").iterdir()]
    known = [text for text in known if len(text) > 16]  # the installation's id is shorter, and none
    assert len(known) > 5
    for log in (service.data / "logs").glob("*.log*"):
        text = log.read_text()
        assert not [one[:4] for one in known if one in text], log.name
