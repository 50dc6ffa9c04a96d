"""What `repolaunch provenance` and `verify` tell registries that are not ours."""

from __future__ import annotations
