"""The seccomp profile of sessions, as text; what a kernel makes of it: tests/integration/test_walls.py."""

from __future__ import annotations

import json

from deploy.hub.seccomp import TABLE, closed, profile


def test_nothing_is_both_open_and_closed_and_all_else_is_refused() -> None:
    found = json.loads(profile())
    assert found["defaultAction"] == "SCMP_ACT_ERRNO"
    opened = {name for rule in found["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert opened.isdisjoint(closed())
    assert "clone3" not in opened
    assert len(opened) > 250


def test_the_levers_of_attacks_are_closed() -> None:
    named = {"unshare", "setns", "mount", "bpf", "io_uring_setup", "userfaultfd", "keyctl", "perf_event_open"}
    assert named <= closed().keys()
    assert all(closed().values())


def test_calls_that_are_open_in_part_name_what_is_open() -> None:
    partly = {"clone", "personality", "socket"}
    for rule in json.loads(profile())["syscalls"]:
        if partly & set(rule["names"]):
            assert rule["args"], rule
    assert TABLE.read_text().count('why = "') == len(set(closed().values()))
