"""The table of `make test-mutations` fits the code: what it takes away is there, and so are the tests that notice."""

from __future__ import annotations

import pytest

from tests.mutations.table import ROOT, Mutation, MutationWrong, batches, read

TABLE = read()


@pytest.mark.parametrize("mutation", TABLE, ids=[one.name for one in TABLE])
def test_what_is_taken_away_is_there(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text()
    assert mutation.applied(text) != text
    file, _, test = mutation.test.partition("::")
    assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text()


def test_what_is_taken_away_at_once_is_told_apart() -> None:
    assert len({one.name for one in TABLE}) == len(TABLE)
    for batch in batches(TABLE):
        assert len(batch) == 1 or len({one.says for one in batch}) == len(batch)


def test_what_no_longer_fits_is_an_error() -> None:
    one = Mutation("x", "a.py", "find me", "", "")
    for text in ("", "find me find me"):
        with pytest.raises(MutationWrong, match=r"what is to be taken away is [02] times in a\.py"):
            one.applied(text)
    with pytest.raises(MutationWrong, match="no Python any more"):
        one.applied("if find me:")
