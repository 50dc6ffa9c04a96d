"""`python3 -m volume_helper`: serve until SIGTERM."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import sys
import time

from .server import Server, listen
from .workspaces import Workspaces

log = logging.getLogger(__name__)

LOCK_SECONDS = 20.0


def main() -> None:
    """Read the arguments, take the lock, clean up, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", required=True, help="folder of all workspaces")
    parser.add_argument("--checkouts", required=True, help="folder of the shared checkouts, only read")
    parser.add_argument("--contents", required=True, help="folder of the images' contents, only read")
    parser.add_argument("--socket", required=True, help="where to listen")
    parser.add_argument("--owner", required=True, help="UID:GID of who may connect")
    given = parser.parse_args()
    user, group = (int(part) for part in given.owner.split(":"))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    os.umask(0o022)
    # As the first process of a container it would otherwise not be ended by SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    workspaces = Workspaces(given.workspaces, given.checkouts, given.contents)
    if not _lock(workspaces.descriptor):
        sys.exit("another volume helper serves these workspaces")
    removed = workspaces.clean()
    log.info("serving; %d half-made workspaces removed", removed)
    Server(workspaces).serve(listen(given.socket, (user, group)))


def _lock(fd: int) -> bool:
    """Hold the folder until this process ends: a second helper would take our unfinished work for leftovers."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        else:
            return True


if __name__ == "__main__":
    main()
