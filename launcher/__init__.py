"""repolaunch: a link to a repository becomes a running, reproducible server with a workspace that lasts."""

__version__ = "0.1.0"
