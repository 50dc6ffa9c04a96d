"""How many open files the machine grants: what `up` says where they are few."""

from __future__ import annotations

import resource

import pytest

from launcher.operate.up import raise_descriptor_limit, too_few


@pytest.mark.parametrize("files", [10_500, 65_536, resource.RLIM_INFINITY])
def test_enough(files: int) -> None:
    assert too_few(files) == ""


@pytest.mark.parametrize("files, people", [(4096, 3596), (1024, 524), (256, 0)])
def test_too_few(files: int, people: int) -> None:
    assert too_few(files) == (
        f"A process may open {files} files here, so some {people} people can watch launches at one time. "
        "Where more are expected, raise that limit for whatever starts this (`ulimit -Hn`, systemd's LimitNOFILE=)."
    )


def test_the_limit_is_raised_as_far_as_the_machine_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    try:
        assert raise_descriptor_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
