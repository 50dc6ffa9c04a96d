"""One change of a policy file's text: what others wrote, their comments and their order stay."""

from __future__ import annotations

from typing import Any

import tomlkit
from tomlkit.items import AbstractTable, InlineTable, Whitespace


class PolicyText:
    """A TOML text that changes entry by entry; it has to be one that can be read."""

    def __init__(self, text: str) -> None:
        """Read it."""
        self._document = tomlkit.parse(text)

    def __str__(self) -> str:
        return tomlkit.dumps(self._document)

    def name(self, table: str, key: str, note: str, *, keep: bool = False) -> None:
        """Set `key = note` in a table; with `keep`, a note that is there stays."""
        found = self._table(table)
        if not (keep and key in found):
            _put(found, key, note)

    def unname(self, table: str, key: str) -> bool:
        """Take it away; False: it was not there."""
        found = self._find(table)
        if found is None or key not in found:
            return False
        del found[key]
        return True

    def ban(self, provider: str, pattern: str) -> None:
        """Add a pattern to what is banned of a provider."""
        table = self._table("providers", provider)
        if "banned" not in table:
            _put(table, "banned", tomlkit.array())
        if pattern not in table["banned"]:
            table["banned"].append(tomlkit.string(pattern, literal="'" not in pattern and pattern.isprintable()))

    def unban(self, provider: str, pattern: str) -> bool:
        """Take it away; False: it was not there."""
        banned = (self._find("providers", provider) or {}).get("banned", [])
        if pattern not in banned:
            return False
        banned.remove(pattern)
        return True

    def _find(self, *path: str) -> Any:
        """What is at this path of keys; None: nothing."""
        found: Any = self._document
        for name in path:
            if name not in found:
                return None
            found = found[name]
        return found

    def _table(self, *path: str) -> Any:
        """The table at this path; made where it is missing."""
        found, parent = self._find(*path), self._find(*path[:-1])
        if found is not None:
            return found
        if isinstance(parent, InlineTable):
            parent[path[-1]] = tomlkit.inline_table()
            return parent[path[-1]]
        # At the very end, as text: tomlkit puts it between the comments above a table and that table.
        header = tomlkit.key(list(path)).as_string()
        self._document = tomlkit.parse(f"{str(self).rstrip()}\n\n[{header}]\n".lstrip("\n"))
        return self._find(*path)


def _put(table: Any, key: str, value: Any) -> None:
    """Set it right below what the table has, above the comments that belong to the next one, where tomlkit does not."""
    body = table.value.body if isinstance(table, AbstractTable) and not isinstance(table, InlineTable) else []
    own = [place for place, (name, _) in enumerate(body) if name is not None]
    end = own[-1] + 1 if own else next((n for n, (_, item) in enumerate(body) if isinstance(item, Whitespace)), 0)
    below = body[end:]
    del body[end:]
    table[key] = value
    body.extend(below)
