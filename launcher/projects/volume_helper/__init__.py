"""The volume helper: the only code that writes into workspaces from outside a session.

It runs as root in a small container of its own (`launcher/operate/helper_container.py`), with the standard
library and `git` and nothing else, and never imports the rest of the launcher. Workspaces belong to strangers:
every name is opened relative to a folder that is already open, and no link is ever followed.
"""
