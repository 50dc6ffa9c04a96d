"""Fixtures that every test may ask for; each part's own are in `tests/fixtures/`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a machine that does much else at one time breaks no promise
settings.load_profile("untimed")

FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest_plugins = [
    "tests.made",
    *(
        f"tests.fixtures.{path.stem}"
        for path in sorted(FIXTURES.glob("*.py"))
        if path.stem != "__init__" and importlib.util.find_spec(f"tests.fixtures.{path.stem}")
    ),
]
