"""How what went wrong with workspaces, the hub, sessions and room is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.WorkspaceFailed: Row(
        "workspace-failed",
        500,
        "The workspace could not be made",
        "{reason}. Nothing half-made was left.",
        "Launch again. If it happens again, tell the operator.",
    ),
    errors.HubDown: Row(
        "hub-down",
        503,
        "JupyterHub does not answer",
        "{reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    errors.SpawnRefused: Row(
        "spawn-refused",
        403,
        "The session was refused",
        "{reason}.",
        "If you should have it, ask the operator.",
    ),
    errors.SessionsFull: Row(
        "sessions-full",
        503,
        "All places are taken",
        "As many sessions run as this machine carries, so no other one was started. What was launched is kept.",
        "Try again in a few minutes: a place is free as soon as somebody's session ends, one of yours too.",
    ),
    errors.SpawnFailed: Row(
        "spawn-failed",
        500,
        "The session did not start",
        "{reason}.",
        "Launch again. If it happens again, look at what the environment installs, or tell the operator.",
        (("tail", "Its last lines:\n{tail}"),),
    ),
    errors.SpawnTimeout: Row(
        "spawn-timeout",
        504,
        "The session did not start in time",
        "It did not answer within {seconds} seconds.",
        "Launch again. If it happens again, ask the operator to raise `session_start_timeout_s`.",
    ),
    errors.DiskLow: Row(
        "disk-low",
        507,
        "There is too little room on this server",
        "The disk of the {place} has {free} free; a new launch begins only with {floor} or more.",
        "Try again later: links that you have opened before still lead to your files. "
        "Operators: make room; `repolaunch doctor` shows where.",
    ),
    errors.DiskFull: Row(
        "disk-full",
        507,
        "A disk of this server is full",
        "There is no room left on the disk of the {place}. What was saved before is kept.",
        "Try again later. Operators: make room; `repolaunch doctor` shows where.",
        (("step", "Step: {step}"), ("tail", "Its last lines:\n{tail}")),
    ),
    errors.WorkspaceNearlyFull: Row(
        "workspace-nearly-full",
        507,
        "The workspace is nearly full",
        "It holds {held} and may hold {limit}.",
        "Delete what you no longer need: beyond {limit} its session is stopped.",
    ),
    errors.WorkspaceOver: Row(
        "workspace-over",
        507,
        "The workspace holds more than it may",
        "It holds {held} and may hold {limit}.",
        "Delete what you no longer need within {minutes} minutes; else its session is stopped. No file is removed.",
    ),
    errors.WorkspaceStopped: Row(
        "workspace-stopped",
        507,
        "The session was stopped: its workspace is too large",
        "It holds {held} and may hold {limit}. Every file is as it was saved.",
        "Start it again and delete what you no longer need: each time there are {minutes} minutes for that. "
        "Or ask the operator to raise `workspace_max_bytes`.",
    ),
    errors.DatabaseDown: Row(
        "database-down",
        503,
        "The database does not answer",
        "{reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
}
