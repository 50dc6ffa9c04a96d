"""The protections that are taken away, one line of a table each, and what has to notice it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


class MutationWrong(Exception):
    """A line of the table that no longer fits what it is about."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """`find` in `file` becomes `put`; `test` has to fail, with `says` in what it prints.

    Those that have `says` and the same test are made at once: each is noticed where its own text is printed.
    """

    name: str
    file: str
    find: str
    put: str
    test: str
    says: str = ""

    def applied(self, text: str) -> str:
        """The file's text without the protection. Raises MutationWrong."""
        if (count := text.count(self.find)) != 1:
            raise MutationWrong(f"{self.name}: what is to be taken away is {count} times in {self.file}")
        changed = text.replace(self.find, self.put)
        if self.file.endswith(".py"):
            try:
                compile(changed, self.file, "exec")
            except SyntaxError as error:
                raise MutationWrong(f"{self.name}: {self.file} is no Python any more: {error}") from None
        return changed


def read(words: str = "") -> list[Mutation]:
    """All lines; with `words` those whose name or test has it."""
    found: list[Mutation] = []
    for path in sorted(FOLDER.glob("*.toml")):
        found += [Mutation(**one) for one in tomllib.loads(path.read_text())["mutation"]]
    return [one for one in found if words in f"{one.name} {one.test}"]


def batches(mutations: list[Mutation]) -> list[list[Mutation]]:
    """Those that are made at once."""
    together: dict[str, list[Mutation]] = {}
    for one in mutations:
        together.setdefault(one.test if one.says else one.name, []).append(one)
    return list(together.values())
