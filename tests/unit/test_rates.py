"""How often somebody may come, and whose request it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher import rates
from launcher.rates import MOST_KEYS, PERIOD_S, Rates, of_this_machine, visitor


class Clock:
    """Stands still until it is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_then_evenly_again() -> None:
    clock = Clock()
    few = Rates(3, clock)
    for _ in range(3):
        assert few.wait_s("a") == 0
        few.count("a")
    assert few.wait_s("a") == PERIOD_S / 3
    assert few.wait_s("b") == 0, "others are not meant"
    clock.now += PERIOD_S / 3 - 1
    assert few.wait_s("a") == 1
    clock.now += 1
    assert few.wait_s("a") == 0
    few.count("a")
    assert few.wait_s("a") == PERIOD_S / 3
    clock.now += 10 * PERIOD_S
    for _ in range(3):
        assert few.wait_s("a") == 0
        few.count("a")
    assert few.wait_s("a") > 0, "who was away for long has no more at once"


def test_asking_is_not_coming() -> None:
    one = Rates(1, Clock())
    assert [one.wait_s("a") for _ in range(5)] == [0] * 5


def test_no_limit() -> None:
    none = Rates(0, Clock())
    for _ in range(100):
        none.count("a")
    assert (none.wait_s("a"), len(none)) == (0, 0)


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 10)
    one = Rates(1, Clock())
    for n in range(1000):
        one.count(str(n))
    assert len(one) == 10
    assert one.wait_s("999") > 0
    assert MOST_KEYS == 20_000


@given(st.lists(st.floats(0, 400), max_size=60), st.integers(1, 12))
def test_never_more_than_twice_the_limit_in_a_period(pauses: list[float], limit: int) -> None:
    """A full start and what is regained meanwhile: the most that any ten minutes can see."""
    clock, came = Clock(), []
    one = Rates(limit, clock)
    for pause in pauses:
        clock.now += pause
        while not one.wait_s("a"):
            one.count("a")
            came.append(clock.now)
    for at in came:
        assert sum(at <= other < at + PERIOD_S for other in came) <= 2 * limit


PROXIES = ("127.0.0.1", "::1", "10.0.0.5")


@pytest.mark.parametrize(
    "peer, forwarded, whose",
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        # The visitor's own invention stands first; our proxy adds whom it heard.
        ("127.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.2.3.4,203.0.113.9,10.0.0.5", "203.0.113.9"),
        ("127.0.0.1", "nonsense, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.2.3.4, nonsense", "127.0.0.1"),
        # Who is no proxy of ours is believed nothing: a session that asks the hub by itself.
        ("172.20.0.7", "1.2.3.4", "172.20.0.7"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "1.2.3.4, 203.0.113.9:4711", "203.0.113.9"),
        ("::1", "[2001:db8:1:2:3:4:5:6]:443, [::ffff:10.0.0.5]:80", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "", "fe80::/64"),
        ("", "", ""),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str, whose: str) -> None:
    assert visitor(peer, forwarded, PROXIES) == whose


def test_addresses_of_this_machine() -> None:
    assert of_this_machine("127.0.0.1")
    assert not of_this_machine("203.0.113.9")
    assert not of_this_machine("nonsense")


@given(st.text(max_size=60))
def test_any_header_at_all(forwarded: str) -> None:
    assert visitor("203.0.113.9", forwarded, PROXIES) == "203.0.113.9"
    visitor("127.0.0.1", forwarded, PROXIES)
