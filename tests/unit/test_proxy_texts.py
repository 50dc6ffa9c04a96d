"""What the proxy says by itself are rows of `launcher/explain/`, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import explain

SCRIPT = Path(__file__).parents[2] / "deploy" / "proxy" / "reconnecting.mjs"


@pytest.mark.parametrize("row", [explain.RECONNECTING, explain.PART_AWAY], ids=lambda row: row.code)
def test_the_proxy_speaks_as_explain_does(row: explain.Row) -> None:
    text = SCRIPT.read_text()
    for name in ("code", "title", "seen", "todo"):
        assert f'  {name}: "{getattr(row, name)}",\n' in text
    assert f"  status: {row.status},\n" in text
