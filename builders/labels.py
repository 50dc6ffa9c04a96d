"""What is written on things, so that others know what they are."""

from __future__ import annotations

OURS = "repolaunch.installation"
"""The label of everything that an installation makes: an image that carries it is somebody's environment."""
SOURCE_LABEL, REVISION_LABEL = "org.opencontainers.image.source", "org.opencontainers.image.revision"
"""Labels with which whoever orders a build says what it is of: the repository's address, the commit. They are for the
image's papers: the image itself is everybody's whose files are the same."""
TREE_LABEL = "org.repolaunch.tree"
"""The label of an image that was made of every file of a directory: which files (`builders/key.py`: `tree_id`)."""
RECORD = ".git/repolaunch-record.json"
"""In a directory that was made of a record's files: the record's `id`, and its `files`, each with `path`, `url`,
`size`, and digests by algorithm."""
KEY_LABEL = "org.repolaunch.key"
"""The label of every environment's image, with its key."""
