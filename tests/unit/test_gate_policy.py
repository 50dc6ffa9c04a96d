"""The policy file: what is wrong with it is told by line, and the last good one stays in force."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from launcher.errors import PolicyBroken
from launcher.gate import file as policy_file
from launcher.gate.file import GONE, PolicyFile
from launcher.gate.networks import Networks
from launcher.gate.patterns import Pattern
from launcher.gate.policy import CLOSED, Policy
from launcher.gate.reading import parse

if TYPE_CHECKING:
    from pathlib import Path

read = partial(parse, providers=("gh", "git"))
GOOD = '[banned_people]\nmallory = "mining"\n'


@pytest.mark.parametrize(
    "text, place, cause",
    [
        ("[launch]\nopen_to = \n", "line 2", "it is not TOML: invalid value"),
        ("[launch", "line 1", "it is not TOML: expected ']' at the end of a table declaration"),
        ("# ours\n\n[launch]\nopen_to = 'all'\n", "line 4", "launch.open_to: input should be 'guests', "),
        ("[launch]\nopento = 'members'\n", "line 2", "launch.opento: there is no such key here"),
        ("[lunch]\n", "line 1", "lunch: there is no such key here"),
        ("launch = 1\n", "line 1", "launch: it has to be a table"),
        ("[providers.gh]\nbanned = '^x'\n", "line 2", 'providers.gh.banned: it has to be a list: ["…"]'),
        (
            "[providers.gh]\nbanned = [\n  '^a',\n  '(?!b)',\n]\n",
            "line 2",
            "providers.gh.banned.1: '(?!b)' is no pattern",
        ),
        ('[providers."gh"]\nbanned = ["("]\n', "line 2", "providers.gh.banned.0: '(' is no pattern of RE2 (missing )"),
        ("[providers.github]\n", "line 1", "providers.github: there is no such provider; there are gh, git"),
        ("[banned_networks]\n'10.0.0.1/8' = 'x'\n", "line 2", "banned_networks.10.0.0.1/8: 10.0.0.1/8 has host bits"),
        ("[banned_networks]\n'here' = 'x'\n", "line 2", "banned_networks.here: 'here' does not appear to be"),
        ("[rates]\nper_address = -1\n", "line 2", "rates.per_address: input should be greater than or equal to 0"),
        ("[rates]\nper_address = true\n", "line 2", "rates.per_address: input should be a valid integer"),
        ("rates.per_address = 'many'\n", "line 1", "rates.per_address: input should be a valid integer"),
        ("[pins]\n'abc' = 'x'\n", "line 2", "pins.abc: 'abc' is no environment key, no digest sha256:… and no commit"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(text: str, place: str, cause: str) -> None:
    with pytest.raises(PolicyBroken) as told:
        read(text)
    assert (told.value.place, told.value.reason[: len(cause)]) == (place, cause)


def test_patterns_begin_where_specs_begin_and_know_no_case() -> None:
    pattern = Pattern(r"^?ada/nice")
    assert pattern.matches("ADA/nice/main")
    assert not pattern.matches("bob/ada/nice")
    began = time.monotonic()
    assert not Pattern(r"(a+)+$").matches("a" * 20_000 + "b")
    assert time.monotonic() - began < 5, "an operator's pattern and a stranger's text must not hold up everybody"


def test_networks() -> None:
    of = Networks(
        {"203.0.113.0/24": "a crawler", "203.0.113.7/32": "its boss", "2001:db8::/32": "six", "0.0.0.0/1": "low"}
    )
    assert [of.label(one) for one in ("203.0.113.9", "203.0.113.7", "2001:db8:1::1", "9.9.9.9", "203.0.114.1")] == [
        "a crawler",
        "its boss",
        "six",
        "low",
        None,
    ]
    assert [of.label(one) for one in ("", "unknown", "2001:db9::1", "fe80::1%eth0")] == [None] * 4


@dataclass
class Site:
    """A policy file, and what is told of it."""

    path: Path
    kept: Path
    told: list[bool] = field(default_factory=list)
    file: PolicyFile = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """As a launcher that was just started."""
        self.file = PolicyFile(self.path, self.kept, read, self)

    def policy_read(self, *, well: bool) -> None:
        self.told.append(well)

    async def holds(self, text: str | None) -> Policy:
        """What is in force when the file is this."""
        if text is None:
            self.path.unlink()
        else:
            new = self.path.with_suffix(".new")
            new.write_text(text)
            new.replace(self.path)
        await self.file.look()
        return self.file.policy


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "launcher").mkdir()
    return Site(tmp_path / "policy.toml", tmp_path / "launcher" / "policy.toml.kept")


async def test_without_a_file_the_defaults_hold(site: Site) -> None:
    assert site.file.policy == CLOSED, "nothing is in force before the first look"
    await site.file.look()
    assert (site.file.policy, site.file.fault, site.told) == (Policy(), None, [True])


async def test_a_broken_file_leaves_the_last_good_one_in_force(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    good = await site.holds(GOOD)
    assert good.banned_people == {"mallory": "mining"}
    for broken, reason in (("[banned", "it is not TOML"), (None, GONE)):
        assert await site.holds(broken) == good
        with pytest.raises(PolicyBroken, match=reason):
            await site.file.check()
    assert site.told == [True, False, False]
    assert "policy.toml, line 1: it is not TOML" in caplog.text
    assert await site.holds("") == Policy(), "an empty file lifts all"
    await site.file.check()


async def test_the_last_good_one_outlives_a_restart(site: Site) -> None:
    good = await site.holds(GOOD)
    await site.holds("[banned")
    site.begin()
    await site.file.look()
    assert (site.file.policy, site.file.fault is None) == (good, False)


async def test_a_first_file_that_is_broken_lets_nobody_launch(site: Site) -> None:
    assert await site.holds("x = ") == CLOSED
    assert (await site.holds(GOOD)).launch.open_to == "guests"


async def test_a_file_that_cannot_be_read_is_told(site: Site) -> None:
    await site.holds(GOOD)
    site.path.unlink()
    site.path.mkdir()
    await site.file.look()
    assert site.file.fault is not None
    assert site.file.fault.reason == "it cannot be read (Is a directory)"
    site.path.rmdir()
    site.path.write_bytes(b"[banned_people]\nx = '\xff'\n")
    await site.file.look()
    assert (site.file.fault.reason, site.file.fault.place) == ("it is not UTF-8", "line 2")
    site.path.write_bytes(b"#" * (2**20 + 1))
    await site.file.look()
    assert site.file.fault.reason == "it has more than 1048576 bytes"


async def test_a_file_that_is_just_being_written_is_not_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that lacks its second half may well be a policy: one that bans fewer."""
    monkeypatch.setattr(policy_file, "LOOK_S", 0)
    good = await site.holds(GOOD)
    turns = iter(range(100))

    async def step(_: float) -> None:
        turn = next(turns)
        if turn < 6:
            site.path.write_text(f"# {'x' * turn}")
        if turn == 6:
            assert site.file.policy == good
        if turn == 9:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await site.file.run(step)
    assert site.file.policy == Policy()
