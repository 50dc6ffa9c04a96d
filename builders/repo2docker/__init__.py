"""jupyter-repo2docker as a builder: it reads the directory, we run the build. See `builder.py`."""
