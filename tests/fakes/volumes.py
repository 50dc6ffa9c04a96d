"""Workspaces that are entries of a dictionary: a `VolumeBackend` for unit tests."""

from __future__ import annotations

from launcher.errors import WorkspaceFailed
from launcher.projects.volumes import PROJECT_ID, TARGET, Seed, Usage, VolumeMount


class FakeVolumes:
    """Passes the contract's tests (`tests/contract/test_volumes_contract.py`); holds no files."""

    def __init__(self) -> None:
        self.seeds: dict[str, Seed] = {}
        self.fault: str = ""
        """When set, every request fails with this reason."""

    async def create(self, project: str, seed: Seed) -> str:
        self._check(project)
        if project in self.seeds:
            return "before"
        if not seed.checkout.is_dir():
            raise WorkspaceFailed("the repository's files are not where they should be")
        self.seeds[project] = seed
        return "contents" if seed.image_contents else "clone"

    async def exists(self, project: str) -> bool:
        self._check(project)
        return project in self.seeds

    async def usage(self, project: str) -> Usage:
        self._check(project)
        if project not in self.seeds:
            raise WorkspaceFailed("there is no such workspace")
        return Usage(bytes=4096, entries=2, complete=True)

    async def list(self) -> list[str]:
        self._check("a000000000")
        return sorted(self.seeds)

    def volume(self, project: str) -> VolumeMount:
        if not PROJECT_ID.match(project):
            raise WorkspaceFailed("that is no project's id")
        return VolumeMount(f"repolaunch-fake-{project}", f"/nowhere/{project}", TARGET)

    def _check(self, project: str) -> None:
        if self.fault:
            raise WorkspaceFailed(self.fault)
        if not PROJECT_ID.match(project):
            raise WorkspaceFailed("id does not have its form")
