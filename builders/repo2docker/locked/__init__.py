"""Python environments whose lock file names every package with its hash: installed by uv, on an image of the site.

files.py      which lock file counts, and whether the build sees more than it
plan.py       what is to be installed, without asking anybody
wheels.py     the files that were fetched before; each is known by its hash
buildpack.py  the Dockerfile, from repo2docker's own build pack
context.py    the folder that a build is given
steps/        what runs in the builds: fetch.py no code of a repository, install.py none but what it is told
"""
