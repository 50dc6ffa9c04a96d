"""What a session must know of an image before it starts it, found by looking, never by running."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders import volumes
from builders.errors import ServerMissing, UserUnfit
from builders.lines import Facts

if TYPE_CHECKING:
    from builders.container import ImageFiles

SERVERS = ("repolaunch-singleuser", "jupyterhub-singleuser")
"""In the order of our liking."""
UID = 1000
NAME = "jovyan"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHONS = tuple(f"python3.{minor}" for minor in range(8, 20))
_ANYBODY_MAY_RUN = 0o001
_SHEBANG = 512


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of /etc/passwd."""

    name: str
    uid: str
    home: str


def look(image: ImageFiles) -> Facts:
    """The facts, but for `content` (content.py). Raises ServerMissing, UserUnfit, VolumeUnfit."""
    if (system := image.attributes.get("Os")) != "linux":
        raise UserUnfit(f"it is an image for {system}, not for linux")
    path = image.environment.get("PATH") or _DEFAULT_PATH
    server = _server(image, path)
    passwd = (image.read("/etc/passwd") or b"").decode("utf-8", "replace")
    home = _home(image, passwd)
    declared = volumes.declared(image.attributes)
    volumes.check(image, declared, server)
    return Facts(
        engine_id=image.engine_id,
        home=home,
        repo_dir=image.environment.get("REPO_DIR") or image.config.get("WorkingDir") or "",
        path=path,
        server=(server,),
        entrypoint=tuple(image.config.get("Entrypoint") or ()),
        passwd=with_user(passwd, home, "/bin/bash" if image.follow("/bin/bash")[1] else "/bin/sh"),
        user_site=_user_site(image, home),
        content="",
        volumes=declared,
        jupyter_path=tuple(
            folder for folder in image.environment.get("JUPYTER_PATH", "").split(":") if folder.startswith("/")
        ),
    )


def with_user(passwd: str, home: str, shell: str) -> str:
    """The text of an /etc/passwd in which uid 1000 has a name."""
    entries = _entries(passwd)
    if any(entry.uid == str(UID) for entry in entries):
        return passwd
    name = NAME if all(entry.name != NAME for entry in entries) else f"user{UID}"
    lines = [*passwd.splitlines(), f"{name}:x:{UID}:{UID}::{home}:{shell}"]
    return "".join(f"{line}\n" for line in lines)


def _entries(passwd: str) -> list[_Entry]:
    rows = (line.split(":") for line in passwd.splitlines())
    return [_Entry(row[0], row[2], row[5]) for row in rows if len(row) >= 6]  # noqa: PLR2004  # passwd(5)


def _home(image: ImageFiles, passwd: str) -> str:
    if home := image.environment.get("HOME"):
        return home
    user = str(image.config.get("User") or "").partition(":")[0]
    homes = [entry.home for entry in _entries(passwd) if user and user in {entry.name, entry.uid}]
    return next((home for home in homes if home), "/")


def _server(image: ImageFiles, path: str) -> str:
    """The single-user server, as uid 1000 would find it. Raises ServerMissing, UserUnfit."""
    unfit = ""
    for name in SERVERS:
        for folder in path.split(":"):
            found = posixpath.join(folder, name)
            if folder.startswith("/") and (stat := image.follow(found)[1]) is not None and stat.is_file:
                unfit = _why_unfit(image, found) or _why_unfit(image, _interpreter(image, found))
                if not unfit:
                    return found
    if unfit:
        raise UserUnfit(unfit)
    raise ServerMissing(path)


def _why_unfit(image: ImageFiles, program: str) -> str:
    """Why uid 1000 could not run `program`; `""`: it could. `""` is also no program."""
    if not program:
        return ""
    if closed := image.closed_to(program):
        return f"its {program} is in {closed}, which user {UID} may not enter"
    _, stat = image.follow(program)
    if stat is None:
        return f"its server is run by {program}, which is not there"
    if not stat.permissions & _ANYBODY_MAY_RUN:
        return f"user {UID} may not run its {program}"
    return ""


def _interpreter(image: ImageFiles, script: str) -> str:
    """The program that a script's first line names; `""`: it is no script."""
    first = (image.read(script, _SHEBANG) or b"").partition(b"\n")[0]
    words = first[2:].split() if first.startswith(b"#!") else []
    return words[0].decode("utf-8", "replace") if words else ""


def _user_site(image: ImageFiles, home: str) -> tuple[str, ...]:
    library = posixpath.join(home, ".local/lib")
    if image.follow(library)[1] is None:
        return ()
    wanted = (posixpath.join(library, python, "site-packages") for python in _PYTHONS)
    return tuple(folder for folder in wanted if image.follow(folder)[1] is not None)
