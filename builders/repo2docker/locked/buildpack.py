"""A build pack of ours, on repo2docker's: `apt.txt`, `postBuild` and `start` by its rules, Python packages by uv."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken
from builders.repo2docker.locked import target
from builders.repo2docker.render import BaseImage

if TYPE_CHECKING:
    from pathlib import Path

    from builders.repo2docker.locked.plan import Plan

BUILD = "/opt/repolaunch/build"
"""Where steps find what they are given. As everything that is mounted on, it is in the image already: a step leaves no
trace of it."""
SECRETS = "/opt/repolaunch/secrets"
REPO = "/home/jovyan/repository"
USER = "1000:1000"
HASHED, REPOSITORIES = "hashed.txt", "repositories.txt"
"""Requirements with hashes, and those of version control, which uv wants apart."""
_GIVEN = f"--mount=type=bind,source=given,target={BUILD} --mount=type=tmpfs,target=/tmp"
_TRUSTED = " ".join(
    f"--mount=type=secret,id={name},target={SECRETS}/{name},uid=1000,mode=0400" for name in ("certificates", "pip.conf")
)
_RUN = f"RUN {_GIVEN} {_TRUSTED}"
_STEP = f"/usr/bin/python3 -I {BUILD}"
FETCH = f"""\
FROM {target.IMAGE} AS fetch
USER root
RUN install -d -o 1000 /wheels
USER {USER}
RUN {_GIVEN} {_TRUSTED} {_STEP}/fetch.py
FROM scratch
COPY --from=fetch /wheels /
"""


class LockedBuildPack(BaseImage):  # type: ignore[misc]  # repo2docker has no types
    """repo2docker's, for one plan; the process's directory is the repository's when it is asked."""

    def __init__(self, plan: Plan) -> None:
        """Install `plan`."""
        super().__init__(target.IMAGE)
        self.plan = plan

    def render(self, build_args: object = None) -> str:  # noqa: ARG002  # as the library has it
        """The Dockerfile."""
        lines = [f"FROM {self.base_image}"]
        for user, script in self.get_preassemble_scripts():
            lines += [f"USER {user}", "RUN " + script.strip()]
        lines += [f"USER {USER}", f"RUN {_GIVEN} {_STEP}/install.py wheels"]
        if self.plan.lock.whole_tree:
            lines += [f"ENV REPO_DIR={REPO}", f"COPY --chown={USER} repository/ {REPO}/", f"WORKDIR {REPO}"]
        hashed = [one for one in self.plan.sources if "--hash=" in one]
        if hashed:
            lines += [_installing(f"--require-hashes --requirement={BUILD}/{HASHED}")]
        if len(hashed) < len(self.plan.sources):
            lines += [_installing(f"--requirement={BUILD}/{REPOSITORIES}")]
        lines += [_installing(f"{REPO}/{path}".removesuffix("/.")) for path in self.plan.local]
        for script in self.get_post_build_scripts():
            lines += [f"{_RUN} chmod +x {script} && {_STEP}/install.py run ./{script}"]
        if start := self.get_start_script():
            path = start.replace("${REPO_DIR}", REPO)
            lines += [f"RUN chmod +x {path}", f'ENTRYPOINT ["tini", "-g", "--", "{path}"]']
        return "\n".join((*lines, ""))


def dockerfile(directory: Path, plan: Plan) -> str:
    """The Dockerfile for a directory. Changes the process's directory meanwhile. Raises EnvironmentBroken."""
    with contextlib.chdir(directory):
        try:
            return LockedBuildPack(plan).render()
        except ValueError as error:
            raise EnvironmentBroken(f"{plan.lock.folder}apt.txt", str(error)) from None


def _installing(what: str) -> str:
    return f"{_RUN} {_STEP}/install.py sources {what}"
