"""Settings → wiring → listen. The one place where the launcher's parts are put together, by hand.

`python -m launcher.compose` is the launcher's process; `launcher/given.py` says what it is started with.
"""
