"""Which tables this code knows."""

from __future__ import annotations

REVISION = "0011"
"""The newest migration's; a test compares it with `launcher/store/migrations/versions/`."""

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0008", "0009", "0010", "0011")
"""All migrations, the oldest first."""


class SchemaUnfit(Exception):
    """The database's tables are not those of this code. Its text is the sentence for the operator."""

    def __init__(self, found: str | None, known: str) -> None:
        super().__init__(found, known)
        self.found = found
        self.known = known

    def __str__(self) -> str:
        if self.found is None:
            return "The database has no tables yet. Run: python -m launcher.store upgrade"
        if self.found in KNOWN:
            return (
                f"The database is at revision {self.found} and this version of repolaunch needs {self.known}. "
                "Run: python -m launcher.store upgrade"
            )
        return (
            f"The database is at revision {self.found}, which this version of repolaunch does not know "
            f"(it knows up to {self.known}): a newer version has used it. "
            "Start that version, or restore the backup that was made before the upgrade."
        )
