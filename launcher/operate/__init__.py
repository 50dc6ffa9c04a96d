"""Operating one machine: `repolaunch up` and the commands beside it. Not part of the launcher's own process."""
