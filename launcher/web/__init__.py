"""The HTTP face of the launcher: pages, JSON API and event streams."""
