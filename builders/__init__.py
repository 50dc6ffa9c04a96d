"""Builders: a directory that declares an environment becomes an image. Never imports `launcher`."""
