"""What crosses the border between launcher and builder process has the same names and fields on both sides."""

from __future__ import annotations

from dataclasses import fields

import pytest

from builders import errors as theirs
from builders.lines import Facts, Found
from launcher import errors as ours
from launcher.model import Environment, ImageFacts

KINDS = [kind for kind in vars(theirs).values() if isinstance(kind, type) and issubclass(kind, theirs.BuilderError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not theirs.BuilderError])
def test_every_error_of_a_builder_is_one_of_the_launcher(kind: type[theirs.BuilderError]) -> None:
    ours_kind = getattr(ours, kind.__name__)
    assert issubclass(ours_kind, ours.LauncherError)
    assert [field.name for field in fields(kind)] == [field.name for field in fields(ours_kind)]


@pytest.mark.parametrize("line,word", [(Found, Environment), (Facts, ImageFacts)])
def test_a_final_line_has_the_fields_of_the_launchers_type(line: type, word: type) -> None:
    assert {field.name for field in fields(line)} == {field.name for field in fields(word)}
