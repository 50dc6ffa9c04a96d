"""The data folder of one installation: its id, its secrets, its ports.

Everything that outlives a run of `repolaunch up` is below this folder, which only its owner may read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.settings import Settings

ROOT = Path(__file__).parents[2]
"""The program's own folder."""
LOOPBACK = "127.0.0.1"
SECRETS = (
    "proxy-token",  # hub → proxy
    "launcher-token",  # launcher → hub
    "supervisor-token",  # up → hub
    "resolve-secret",  # hub → launcher, at every spawn
    "cookie-secret",  # launcher's cookies
    "hub-cookie-secret",
    "operator-token",  # command line → launcher
    "credentials-key",  # launcher: locks people's own credentials
    "namespace-secret",  # launcher: names what is made of private repositories
    "registry-password",  # launcher, hub → the registry of our own
)


CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The authorities that this machine trusts, where it says so in the usual place; sessions are given them."""
SERVICE = "service.json"
"""In `run/` while the service runs: where it is."""
POLICY = "policy.toml"
"""Who may what, where the setting `policy_file` names no other file."""
LOCK = "up.lock"
"""In `run/`: held by whoever runs the service, shared by those who run one part each."""
RESTORING = ".restoring"
"""In a data folder while a backup is restored into it."""


@dataclass(eq=False)
class InstallationError(Exception):
    """Something about this machine or data folder that stops the start; `sentence` says what and what to do."""

    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the inner parts. They are kept: running sessions know the hub's, image names the registry's."""

    proxy_api: int
    hub: int
    launcher: int
    registry: int
    example: int


@dataclass(frozen=True, slots=True)
class Installation:
    """One data folder, its identity and its ports."""

    folder: Path
    id: str
    ports: Ports

    @property
    def network(self) -> str:
        """The bridge of the sessions."""
        return f"repolaunch-{self.id}"

    @property
    def fetching(self) -> str:
        """The bridge of what Nix and Guix fetch, where the engine of the sessions builds."""
        return f"repolaunch-{self.id}-fetching"

    @property
    def label(self) -> str:
        """The label that everything of this installation in the container engine carries."""
        return f"repolaunch.installation={self.id}"

    def secret(self, name: str) -> str:
        """The secret of that name, made at first use, readable by its owner only."""
        return kept_in(self.folder / "secrets" / name, lambda: secrets.token_hex(32))

    def path(self, *parts: str) -> Path:
        """A folder below the data folder, made if it is missing; it is its owner's alone."""
        path = self.folder.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def service(self) -> dict[str, str]:
        """Where the service that runs on this data folder is. Raises InstallationError when none does."""
        try:
            noted: dict[str, str] = json.loads((self.folder / "run" / SERVICE).read_text())
        except FileNotFoundError:
            raise InstallationError(
                "The service does not run on this data folder. Start it with `repolaunch up`."
            ) from None
        return noted


def find_installation(folder: Path) -> Installation:
    """Open a data folder that is one already. Raises InstallationError."""
    if not (folder / "secrets" / "installation").is_file():
        raise InstallationError(
            f"There is no installation in {folder.absolute()}. "
            "Name its data folder with --data, or make one with `repolaunch up`."
        )
    return open_installation(folder)


def open_installation(folder: Path) -> Installation:
    """Open the data folder, or make it. Raises InstallationError.

    A folder that is new or empty becomes its owner's alone; the mode of any other is left to its owner.
    """
    folder = folder.resolve()
    if (folder / RESTORING).exists():
        raise InstallationError(
            f"A restore into {folder} was not finished. Empty the folder and run `repolaunch restore` again."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not any(folder.iterdir()):
            folder.chmod(0o700)
        (folder / "secrets").mkdir(exist_ok=True, mode=0o700)
        (folder / "secrets").chmod(0o700)
        identity = kept_in(folder / "secrets" / "installation", lambda: secrets.token_hex(4))
        return Installation(folder, identity, _ports(folder / "ports.json"))
    except OSError as error:
        raise InstallationError(
            f"The data folder {folder} cannot be used: {error.strerror}. Choose another one with --data."
        ) from None


@contextlib.contextmanager
def only_one(installation: Installation) -> Iterator[None]:
    """Nobody else runs this installation, or a part of it, meanwhile. Raises InstallationError."""
    with (installation.path("run") / LOCK).open("w") as lock:
        _lock(lock, fcntl.LOCK_EX)
        yield


def hold_part(installation: Installation, part: str) -> None:
    """Be the only one with this part until the process ends, whatever program it becomes. Raises InstallationError."""
    folder = installation.path("run")
    for name, how in ((LOCK, fcntl.LOCK_SH), (f"{part}.lock", fcntl.LOCK_EX)):
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(descriptor, True)  # noqa: FBT003  # the function takes it by place only
        _lock(descriptor, how)


def is_run(folder: Path) -> bool:
    """Whether somebody runs the service, or a part of it, on this data folder."""
    try:
        with (folder / "run" / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock(file: IO[str] | int, how: int) -> None:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InstallationError(
            "The service already runs on this data folder. Stop it first, or choose another folder with --data."
        ) from None


def free_port() -> int:
    """A port of the loopback address that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def policy_path(data: Path, settings: Settings) -> Path:
    """Where the policy file is, or would be."""
    return Path(settings.policy_file or data / POLICY)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; it is never seen half written."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")  # several processes may write the same file
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def kept_in(path: Path, make: Callable[[], str]) -> str:
    """What is in the file; made at first use, by one of those who ask at the same time."""
    kept = _read(path)
    if not kept:
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.made")
        write_private(new, make() + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
        if not (kept := _read(path)):
            new.replace(path)  # what was there is an empty file, as a machine that lost its power may leave it
            return _read(path)
        new.unlink()
    return kept


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _ports(path: Path) -> Ports:
    try:
        return Ports(**json.loads(kept_in(path, _free_ports)))
    except (ValueError, TypeError):
        raise InstallationError(
            f"The file {path} is damaged. Restore it, or remove it to have new ports chosen."
        ) from None


def _free_ports() -> str:
    return json.dumps(asdict(Ports(*(free_port() for _ in Ports.__dataclass_fields__))), indent=1)
