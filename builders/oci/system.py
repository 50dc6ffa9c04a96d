"""What an image has besides store paths: what programs take for granted on every system.

The same for every environment that has the same shell, so it is the first layer.
"""

from __future__ import annotations

import posixpath

from builders.oci.tar import END, FILE, FOLDER, LINK, Entry, header, padding

UID = 1000
NAME = "jovyan"
HOME = f"/home/{NAME}"
CERTIFICATES = "/etc/ssl/certs"
"""Where programs look for authorities. Empty: a site's own are mounted when a session starts, never in an image."""

_PASSWD = f"root:x:0:0:root:/root:/bin/sh\n{NAME}:x:{UID}:{UID}::{HOME}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUP = f"root:x:0:\n{NAME}:x:{UID}:\nnogroup:x:65534:\n"
_FOLDERS = {
    "bin": 0o755,
    "etc": 0o755,
    "etc/ssl": 0o755,
    CERTIFICATES[1:]: 0o755,
    "home": 0o755,
    "root": 0o700,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_FILES = {
    "etc/group": _GROUP,
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/passwd": _PASSWD,
}


def archive(shell: str) -> bytes:
    """The layer's bytes. `shell` is the path of a `sh` that has an `env` beside it."""
    links = {"bin/sh": shell, "usr/bin/env": posixpath.join(posixpath.dirname(shell), "env")}
    entries = [
        *(Entry(f"{name}/".encode(), FOLDER, mode) for name, mode in _FOLDERS.items()),
        Entry(f"{HOME[1:]}/".encode(), FOLDER, 0o755, owner=UID),
        *(Entry(name.encode(), LINK, 0o777, link=target.encode()) for name, target in links.items()),
        *(Entry(name.encode(), FILE, 0o644, len(text.encode())) for name, text in _FILES.items()),
    ]
    pieces = []
    for entry in sorted(entries):
        text = _FILES[entry.name.decode()].encode() if entry.kind == FILE else b""
        pieces += [header(entry), text, padding(len(text))]
    return b"".join((*pieces, END))
