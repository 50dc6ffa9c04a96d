"""Stands before `runc`, which BuildKit starts for every step of every build: takes from it what no build needs.

The steps are root and share a bridge. With CAP_NET_RAW one of them could answer for the gateway, hear what its siblings
ask of name servers, and forge the answers. So it goes, and the ports of the bridge are isolated: to the gateway only,
not each other. What cannot be taken away is an exception, and then no step begins. What is
given to it: the authorities that this machine trusts.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import disk

STEPS = Path("/run/steps")
"""Where a step is noted: `<lease>-<step>.json`, with the folders that it writes into."""
DATA = Path("/var/lib/docker")
REAL = "/usr/sbin/runc"
KEPT = {
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
}
"""Docker's own selection, but for CAP_NET_RAW."""
AF_BRIDGE, RTM_SETLINK, NLM_F_REQUEST, NLM_F_ACK = 7, 19, 1, 4
IFLA_PROTINFO, IFLA_BRPORT_ISOLATED, NLA_F_NESTED = 12, 33, 0x8000
BEGIN = {"run", "create"}
NEVER = {"exec", "restore", "update"}
"""They would begin, or change, a step past this file; BuildKit uses none of them."""
OWN = Path("/usr/local/share/ca-certificates")
"""Where the machine's own certificate authorities are, when it has any (deploy/images/base, `trusting`)."""
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
"""They and the distribution's."""
SEEN = "/dev/certificates.crt"
"""Where a step finds those: /dev is a step's own and in no layer."""
TRUSTING = (
    *("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"),
    "GIT_SSL_CAINFO",
)
"""As sessions have them (launcher/sessions/resolve.py)."""


def main(argv: list[str]) -> None:
    """Become runc. Raises OSError, ValueError, KeyError, StopIteration."""
    verb = next((word for word in argv if word in BEGIN | NEVER), "")
    if verb in NEVER:
        raise ValueError(verb)
    if verb:
        bundle = Path(argv[argv.index("--bundle") + 1])
        config = json.loads((bundle / "config.json").read_text())
        weaken(config)
        trust(config)
        (bundle / "config.json").write_text(json.dumps(config))
        isolate()
        note(config, bundle, argv[-1])
    os.execv(REAL, [REAL, *argv])  # noqa: S606  # no shell is the point


def weaken(config: dict[str, Any]) -> None:
    """Leave of the capabilities those that are kept."""
    capabilities = config["process"]["capabilities"]
    for kind, names in capabilities.items():
        capabilities[kind] = [name for name in names or () if name in KEPT]


def trust(config: dict[str, Any]) -> None:
    """Name the authorities to the step, where the machine has any of its own."""
    if not any(OWN.glob("*.crt")):
        return
    options = ["bind", "ro", "nosuid", "nodev", "noexec"]
    config["mounts"].append({"destination": SEEN, "type": "bind", "source": str(TRUSTED), "options": options})
    kept = [one for one in config["process"].get("env") or () if one.partition("=")[0] not in TRUSTING]
    config["process"]["env"] = [*kept, *(f"{name}={SEEN}" for name in TRUSTING)]


def note(config: dict[str, Any], bundle: Path, step: str) -> None:
    """Tell the supervisor what the step writes into; only a step of a build that has a lease begins."""
    _, parent, lease, *_ = config["linux"]["cgroupsPath"].split("/")
    if parent != "builds":
        raise ValueError(parent)
    binds = [one for one in config["mounts"] if "source" in one and "ro" not in one.get("options", ())]
    writable = [one["source"] for one in binds if one.get("type") in {"bind", "none"} and Path(one["source"]).is_dir()]
    known = {"bundle": str(bundle), "folders": disk.folders([config["root"]["path"], *writable], DATA)}
    (STEPS / f".{lease}-{step}").write_text(json.dumps(known))
    (STEPS / f".{lease}-{step}").rename(STEPS / f"{lease}-{step}.json")


def isolate() -> None:
    """No port of a bridge reaches another one. The step's own is there: the engine makes it before this."""
    for port in Path("/sys/class/net").glob("*/brport/isolated"):
        try:
            if port.read_text().strip() != "1":
                _isolate(int((port.parents[1] / "ifindex").read_text()))
        except OSError:
            if port.exists():  # and has not gone with its step meanwhile
                raise


def _isolate(index: int) -> None:
    """As `bridge link set dev … isolated on` does (rtnetlink(7)); /sys is not for writing here."""
    isolated = struct.pack("HHB3x", 5, IFLA_BRPORT_ISOLATED, 1)
    attribute = struct.pack("HH", 4 + len(isolated), IFLA_PROTINFO | NLA_F_NESTED) + isolated
    body = struct.pack("BxHiII", AF_BRIDGE, 0, index, 0, 0) + attribute
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        (status,) = struct.unpack_from("i", kernel.recv(4096), 16)
    if status:
        raise OSError(-status, os.strerror(-status))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError, KeyError, StopIteration) as error:
        sys.exit(f"The build engine lets no step begin that it cannot hold: {type(error).__name__} {error}")
