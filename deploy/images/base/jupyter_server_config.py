"""Settings of the server in the site's base image."""

from pathlib import Path

c = get_config()  # noqa: F821  # given by traitlets

# jupyter-collaboration keeps its history beside the notebooks by default; the workspace holds the author's files only.
c.SQLiteYStore.db_path = str(Path.home() / ".jupyter-collaboration.db")
