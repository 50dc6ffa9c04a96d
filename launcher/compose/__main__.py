"""The launcher's process."""

from __future__ import annotations

import asyncio
import os

from builders import logs
from launcher.compose.composed import Composed
from launcher.compose.serving import run
from launcher.given import PREFIX, given


def main() -> None:
    """Run the launcher's process."""
    what = given(dict(os.environ))
    for name in [name for name in os.environ if name.startswith(PREFIX)]:  # secrets; git needs none of it
        del os.environ[name]
    logs.begin(what.settings.log_format, what.settings.log_level)
    asyncio.run(run(Composed(what)))


if __name__ == "__main__":
    main()
