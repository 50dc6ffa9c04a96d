"""The seccomp profile of sessions, from the table beside this file, as the container engine reads it."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("seccomp.toml")
ENOSYS = 38
EAFNOSUPPORT = 97
NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID and -NET."""
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, with or without 16-bit time stamps and version 2.6; and the question which one it is."""
FAMILIES = (1, 2, 10, 16)
"""Sockets: unix, IPv4, IPv6, netlink (which address do I have?). No raw packets, no kernel crypto, no hypervisor."""
ABOVE_FAMILIES = max(FAMILIES) + 1


def closed() -> dict[str, str]:
    """Each call that is closed, and why."""
    return {call: line["why"] for line in _table()["closed"] for call in line["calls"].split()}


@cache
def profile() -> str:
    """The profile as JSON: for `security_opt`."""
    allow, refuse = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
    rules: list[dict[str, Any]] = [
        {"names": _table()["open"].split(), "action": allow},
        {"names": [*closed(), "clone3"], "action": refuse, "errnoRet": ENOSYS},
        # glibc falls back from clone3, whose flags a filter cannot see, to clone.
        {"names": ["clone"], "action": allow, "args": [_arg("MASKED_EQ", NEW_NAMESPACES, 0)]},
        *({"names": ["personality"], "action": allow, "args": [_arg("EQ", one)]} for one in PERSONALITIES),
        *({"names": ["socket"], "action": allow, "args": [_arg("EQ", one)]} for one in FAMILIES),
        {"names": ["socket"], "action": refuse, "errnoRet": EAFNOSUPPORT, "args": [_arg("GE", ABOVE_FAMILIES)]},
    ]
    native = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
    return json.dumps(
        {
            "defaultAction": refuse,
            "defaultErrnoRet": ENOSYS,
            "archMap": [{"architecture": one, "subArchitectures": []} for one in native],
            "syscalls": rules,
        }
    )


def _arg(operator: str, value: int, value_two: int = 0) -> dict[str, Any]:
    return {"index": 0, "value": value, "valueTwo": value_two, "op": f"SCMP_CMP_{operator}"}


@cache
def _table() -> dict[str, Any]:
    with TABLE.open("rb") as file:
        return tomllib.load(file)
