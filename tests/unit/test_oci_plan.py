"""The plan of layers: its invariants for any closure, and what a closure may say."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.errors import BuildBroken
from builders.oci.closure import Closure, StorePath, is_store_path, name_of, parse_closure
from builders.oci.plan import ALONE, BUCKETS, FIRST_ALONE, FIRST_BUCKETS, MOST_LAYERS, Group, plan
from tests.fixtures.closures import store_path

if TYPE_CHECKING:
    import random

HASH = f"sha256-{'A' * 43}="


def closure_of(sizes: list[int], seed: str = "") -> Closure:
    """Paths `p0`, `p1`, … of these sizes."""
    return Closure({store_path(f"p{number}", seed): StorePath((), size, HASH) for number, size in enumerate(sizes)})


@st.composite
def images(draw: st.DrawFn) -> tuple[Closure, frozenset[str], frozenset[str]]:
    """A closure, and which of its paths are the server's and the environment's own."""
    sizes = draw(st.lists(st.integers(0, 2**20), max_size=300))
    closure = closure_of(sizes)
    paths = sorted(closure.paths)
    split = draw(st.integers(0, len(paths)))
    own = draw(st.sets(st.sampled_from(paths), max_size=3)) if paths else set()
    return closure, frozenset(paths[:split]), frozenset(own)


@settings(max_examples=150, deadline=None)
@given(images(), st.randoms(use_true_random=False))
def test_every_path_once_in_at_most_99_layers_in_any_order(
    image: tuple[Closure, frozenset[str], frozenset[str]], dice: random.Random
) -> None:
    closure, first, root = image
    groups = plan(closure, first, root)
    planned = [path for group in groups for path in group.paths]
    assert sorted(planned) == sorted(closure.paths), "every path exactly once"
    assert len(groups) <= MOST_LAYERS - 1, "one more is for the system's files"
    assert all(group.paths for group in groups)
    shuffled = list(closure.paths.items())
    dice.shuffle(shuffled)
    assert plan(Closure(dict(shuffled)), sorted(first, reverse=True), sorted(root)) == groups


@settings(max_examples=50, deadline=None)
@given(images())
def test_the_order_of_the_layers(image: tuple[Closure, frozenset[str], frozenset[str]]) -> None:
    closure, first, root = image
    groups = plan(closure, first, root)
    order = ["server", "path", "bucket", "environment"]
    assert [order.index(group.of) for group in groups] == sorted(order.index(group.of) for group in groups)
    assert {path for group in groups if group.of == "server" for path in group.paths} == first
    assert {path for group in groups if group.of == "environment" for path in group.paths} == root - first
    sizes = [closure.paths[group.paths[0]].nar_size for group in groups if group.of == "path"]
    assert sizes == sorted(sizes, reverse=True)


def test_the_most_layers_are_reached_and_not_passed() -> None:
    closure = closure_of([5] * 5000)
    paths = sorted(closure.paths)
    groups = plan(closure, paths[:1000], paths[-1:])
    assert len(groups) == MOST_LAYERS - 1 == FIRST_ALONE + FIRST_BUCKETS + ALONE + BUCKETS + 1
    assert groups[-1] == Group("environment", (paths[-1],))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.randoms(use_true_random=False))
def test_a_changed_small_path_takes_one_layer_along(count: int, dice: random.Random) -> None:
    sizes = [1000 + dice.randrange(10_000) for _ in range(count)]
    small = dice.randrange(count)
    sizes[small] = 10
    before = closure_of(sizes)
    path = list(before.paths)[small]
    changed = store_path(name_of(path), "another build")
    paths = {one: about for one, about in before.paths.items() if one != path}
    after = Closure({**paths, changed: replace(before.paths[path], nar_size=11)})
    old, new = ({group.paths for group in plan(each, (), ())} for each in (before, after))
    assert [changed in group for group in new - old] == [True]
    assert [path in group for group in old - new] == [True]


def test_a_path_that_is_added_moves_nothing_but_two_layers() -> None:
    before = closure_of(list(range(1000, 1300)))
    added = store_path("added")
    for size in (1, 5000):
        after = Closure({**before.paths, added: StorePath((), size, HASH)})
        new = {group.paths for group in plan(after, (), ())} - {group.paths for group in plan(before, (), ())}
        assert len(new) <= 2


def test_golden_plan() -> None:
    groups = plan(closure_of(list(range(500))), sorted(closure_of(list(range(100))).paths), ())
    text = "\n".join(" ".join((group.of, *group.paths)) for group in groups)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "86cb98cb719f"


def test_a_hundred_thousand_paths() -> None:
    count = 100_000
    names = [store_path(f"p{number}") for number in range(count)]
    body = {
        path: {"references": names[number + 1 : number + 3], "narSize": number, "narHash": HASH, "valid": True}
        for number, path in enumerate(names)
    }
    text = json.dumps(body)
    began = time.process_time()
    groups = plan(parse_closure(text), (), names[:1])
    spent = time.process_time() - began
    assert sum(len(group.paths) for group in groups) == count
    assert spent < 20, "processor seconds: it takes about 1"


A, B = store_path("a"), store_path("b", store="gnu")
GOOD = {"references": [A], "narSize": 5, "narHash": HASH}


def test_what_a_store_says() -> None:
    closure = parse_closure(json.dumps({A: GOOD | {"deriver": None}, B: GOOD | {"references": [B, A, A]}}))
    assert closure.paths[B] == StorePath(tuple(sorted((A, B))), 5, HASH)
    assert parse_closure(json.dumps(closure.to_json())) == closure


@pytest.mark.parametrize(
    "body,said",
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ([], "it is no object"),
        ({"/etc/passwd": GOOD}, "'/etc/passwd' is not in a store"),
        ({f"{A}/bin": GOOD}, f"'{A}/bin' is not in a store"),
        ({f"{A}\n": GOOD}, f"{A + chr(10)!r} is not in a store"),
        ({"/nix/store/../../etc": GOOD}, "'/nix/store/../../etc' is not in a store"),
        ({A: None}, f"it says nothing of {A}"),
        ({A: GOOD | {"references": [B]}}, f"{A} refers to {B!r}, which is missing"),
        ({A: GOOD | {"references": "x"}}, f"the references of {A} are no paths"),
        ({A: GOOD | {"references": [1]}}, f"the references of {A} are no paths"),
        ({A: GOOD | {"narSize": -1}}, f"the size of {A} is none"),
        ({A: GOOD | {"narSize": True}}, f"the size of {A} is none"),
        ({A: GOOD | {"narSize": "5"}}, f"the size of {A} is none"),
        ({A: GOOD | {"narHash": "sha256:00"}}, f"the hash of {A} is none"),
        ({A: {"references": [], "narSize": 5}}, f"the hash of {A} is none"),
    ],
)
def test_what_a_store_would_not_say(body: object, said: str) -> None:
    with pytest.raises(BuildBroken) as caught:
        parse_closure(body if isinstance(body, str) else json.dumps(body))
    assert caught.value.reason == f"the store's own list of what an environment needs cannot be read: {said}"


KEYS = st.sampled_from([A, B, "references", "narSize", "narHash", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(KEYS, one)
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_anything_else_that_a_store_says(body: object) -> None:
    try:
        closure = parse_closure(json.dumps(body))
    except BuildBroken:
        return
    assert all(is_store_path(path) for path in closure.paths)


def test_two_closures_become_one() -> None:
    one, other = closure_of([1, 2]), closure_of([1, 2, 3])
    assert one.union(other) == other.union(one) == other
    path = next(iter(one.paths))
    changed = Closure({path: replace(one.paths[path], nar_hash=HASH.replace("A", "B"))})
    with pytest.raises(BuildBroken, match="two hashes"):
        one.union(changed)


def test_first_and_last_are_in_the_closure() -> None:
    with pytest.raises(BuildBroken, match="which its closure lacks"):
        plan(closure_of([1]), (A,), ())


def test_store_paths_and_their_names() -> None:
    assert is_store_path(A)
    assert is_store_path(B)
    assert name_of(B) == "b"
    assert not is_store_path("/nix/store/" + "e" * 32 + "-x"), "no digit of a store's"
    assert not is_store_path("/nix/store/" + "a" * 32 + "-" + "x" * 212)
