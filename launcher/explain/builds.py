"""How what went wrong with an environment and its build is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

NEAR: Final[Mapping[str, str]] = {
    "misspelt": "“{found}” is nearly “{meant}”: rename it, if that is what it is.",
    "alone": "“{found}” alone declares nothing: add “{meant}” beside it.",
    "hidden": "“{found}” is not read, because there is a folder “{meant}”, which declares nothing: move it there.",
    "deeper": "“{found}” is not read, because it is in a folder: move it to “{meant}”.",
    "unlocked": "“{found}” says what is wanted, and not what was chosen: run `uv lock` and commit “{meant}”.",
    "conda-lock": "“{found}” is not read: run `conda-lock render --kind env` and commit what it writes as “{meant}”.",
    "devenv": "“{found}” is not read: put the same packages into a “{meant}”, and run `nix flake lock`.",
    "pixi": "“{found}” is not read: run `pixi workspace export conda-environment {meant}` and commit “{meant}”.",
    "poetry": "“{found}” is not read: run `poetry export --output {meant}` (poetry-plugin-export) and commit "
    "“{meant}”.",
    "renv": "“{found}” is not read: add “{meant}” (`r-4.4-2025-01-10`: R’s version and a date) and “install.R” "
    '(`install.packages("renv"); renv::restore()`).',
}
"""What a file that is nearly a declaration is told as (builders/near.py)."""


def near(find: str) -> str:
    """One of EnvironmentMissing's finds as a sentence."""
    kind, meant, found = find.split(" ", 2)
    return NEAR[kind].format(meant=meant, found=found)


ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.EnvironmentConflict: Row(
        "environment-conflict",
        422,
        "The repository declares more than one environment",
        "It has: {found}.",
        "Keep one of them and remove the others.",
    ),
    errors.EnvironmentMissing: Row(
        "environment-missing",
        422,
        "The repository declares no environment",
        "None of these is there: {looked_for}.",
        "Add one of them to the repository.",
        (("near", "{near}"),),
    ),
    errors.AfreshPinned: Row(
        "afresh-pinned",
        409,
        "Building afresh would change nothing",
        "All that {evidence} asks for is pinned: another build is the same environment.",
        "Launch it as it is, or change what it declares and commit that.",
    ),
    errors.EnvironmentBroken: Row(
        "environment-broken",
        422,
        "The environment cannot be read",
        "“{path}”: {reason}.",
        "Correct the file in the repository.",
    ),
    errors.BuildFailed: Row(
        "build-failed",
        422,
        "The build failed",
        "{builder} ended with status {status}.",
        "Correct what the last lines complain about in the repository; the log has every line.",
        (("step", "Step: {step}"), ("tail", "Its last lines:\n{tail}")),
    ),
    errors.BaseImageMissing: Row(
        "base-image-missing",
        422,
        "The base image cannot be had",
        "The environment builds on the image “{image}”, which does not exist or cannot be reached from here.",
        "Correct its name in the repository, or ask the operator which images can be used.",
    ),
    errors.BuildTimeout: Row(
        "build-timeout",
        504,
        "The build took too long",
        "It was stopped after {seconds} seconds.",
        "Make the environment smaller, or ask the operator to raise `build_timeout_s`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildOutOfMemory: Row(
        "build-out-of-memory",
        422,
        "The build ran out of memory",
        "Its steps may use {bytes} of memory together, and wanted more.",
        "Let the step do less at a time (fewer parallel jobs, smaller downloads), or ask the operator to raise "
        "`build_memory`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildTooManyProcesses: Row(
        "build-too-many-processes",
        422,
        "The build started too many processes",
        "Its steps may have {processes} processes and threads at one time, and wanted more.",
        "Let the step do less at a time (fewer parallel jobs), or ask the operator to raise `build_processes`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildDiskFull: Row(
        "build-disk-full",
        422,
        "The build wrote too much",
        "Its steps may write {bytes}, and wrote more.",
        "Make the environment smaller, remove what a step downloads in the same step, or ask the operator to raise "
        "`build_disk`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildLogTooLong: Row(
        "build-log-too-long",
        422,
        "The build printed too much",
        "It was stopped after {bytes} of output.",
        "Let the step print less (`--quiet`, or its output into a file).",
        (("step", "Step: {step}"),),
    ),
    errors.BuildAddressClosed: Row(
        "build-address-closed",
        403,
        "The build asked for an address that is closed to builds",
        "It asked {address}, which is not an address of the public internet.",
        "Use a public address where this one is named: a Dockerfile, a lock file, an expression. For the steps of a "
        "Dockerfile, the operator may list the network in `egress_allowed_networks`.",
        (("step", "Step: {step}"),),
    ),
    errors.BuildBroken: Row(
        "build-broken",
        500,
        "The build was interrupted",
        "The builder itself broke: {reason}.",
        "Launch again. If it happens again, tell the operator.",
    ),
    errors.EngineDown: Row(
        "engine-down",
        503,
        "The container engine does not answer",
        "{reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    errors.RegistryDown: Row(
        "registry-down",
        503,
        "The image registry does not answer",
        "Asking {registry} failed: {reason}.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    errors.ServerMissing: Row(
        "server-missing",
        422,
        "The image has no notebook server",
        "No single-user server is on the image's PATH ({path}).",
        "Install `jupyterhub` and `jupyterlab` in the environment.",
    ),
    errors.UserUnfit: Row(
        "user-unfit",
        422,
        "The image cannot run as an ordinary user",
        "As user 1000: {reason}.",
        "Let the image's files be readable, and its programs runnable, by the user with id 1000.",
    ),
    errors.VolumeUnfit: Row(
        "volume-unfit",
        422,
        "The image declares a volume that no session can have",
        "The volume “{volume}” {reason}.",
        "Remove that `VOLUME` from the Dockerfile; where the image that it builds on declares it, use another one.",
    ),
    errors.EnvironmentImpure: Row(
        "environment-impure",
        422,
        "The environment depends on more than the repository",
        "“{path}”: {reason}.",
        "{advice}",
    ),
    errors.StoreUnfit: Row(
        "store-unfit",
        422,
        "The environment holds what an image cannot carry",
        "In the store, “{path}” {reason}.",
        "Change the package that makes this file, or leave it out. If it changed by itself, tell the operator.",
    ),
    errors.ServerNotBuilt: Row(
        "server-not-built",
        503,
        "This site cannot run Nix and Guix environments yet",
        "The notebook server that goes into their images has not been built here.",
        "The operator builds it once, in a few minutes: `make setup`. Then launch again.",
    ),
}
