"""Sessions: running servers of projects, started through JupyterHub."""
