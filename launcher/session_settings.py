"""The settings of sessions and of what they and builds reach: a part of `launcher/settings.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from launcher.setting_kinds import Bytes, Networks, NetworksOrEndpoints, Ports  # noqa: TC001  # pydantic reads them


class SessionSettings(BaseModel):
    """What an operator may choose about sessions."""

    session_memory: int = Field(
        2 * 2**30,
        ge=128 * 2**20,
        description="Bytes of memory of a session; the Jupyter server alone takes some 100 MB.",
    )
    session_cpus: float = Field(2.0, gt=0, description="Processor cores of a session.")
    session_processes: int = Field(512, ge=16, description="Processes and threads of a session.")
    session_tmp_bytes: Bytes = Field(256 * 2**20, description="Bytes of a session's /tmp.")
    session_start_timeout_s: float = Field(180, gt=0, description="Seconds that a session may take to answer.")
    session_token_hours: float = Field(
        24, gt=0, description="Hours for which the token of a session that a program started is good."
    )
    session_runtime: str = Field(
        "",
        description="Runtime of sessions' containers, by the name that the container engine knows it by (`runsc` for "
        "gVisor, `kata`). Empty: the engine's own.",
    )
    session_log_days: float = Field(
        7, ge=0, description="Days that the log of a session that has ended stays in the container engine. 0: for ever."
    )
    # ---- what sessions and builds reach
    egress: Literal["filtered", "open"] = Field(
        "filtered",
        description="`filtered`: sessions reach what the egress table leaves open, and nothing of this machine but the "
        "hub; without the rules none starts. `open`: they reach whatever this machine reaches.",
    )
    egress_table: str = Field("", description="File to use in place of the egress table, `deploy/egress/egress.toml`.")
    egress_allowed_networks: NetworksOrEndpoints = Field(
        (),
        description="Networks (`10.1.0.0/16`) that sessions and builds may reach though the egress table closes them, "
        "but for its closed ports; and single servers (`10.1.2.3:25`).",
    )
    egress_closed_networks: Networks = Field(
        (), description="Networks that are closed to sessions and builds beyond those of the egress table."
    )
    egress_closed_ports: Ports = Field(
        (), description="Ports that are closed to sessions and builds, wherever they lead, beyond the table's."
    )
