"""An image's facts as a row keeps them."""

from __future__ import annotations

import json

from launcher.store.codec import facts_text, parse_facts
from tests.fakes.builds import facts


def test_rows_of_older_and_newer_versions_are_read() -> None:
    values = json.loads(facts_text(facts("sha256:1")))
    del values["volumes"], values["jupyter_path"]
    assert parse_facts(json.dumps({**values, "of tomorrow": 1})) == facts("sha256:1")
