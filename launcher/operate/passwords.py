"""The password with which members sign in where no other authenticator is configured."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from deploy.hub.passwords import password_weakness
from launcher.oauth_settings import NAMED_FREELY
from launcher.operate.installation import kept_in, write_private
from launcher.settings import SettingWrong

if TYPE_CHECKING:
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

SHARED = "shared-password"
BYTES = 12


def shared_password(installation: Installation, settings: Settings) -> str:
    """The operator's password, else a random one that was made at first use; `""` with another authenticator.

    Raises SettingWrong for a guessable one where others than this machine can try it.
    """
    if settings.authenticator != SHARED:
        return ""
    if settings.shared_password:
        weakness = password_weakness(settings.shared_password)
        if weakness is not None and not _is_loopback(settings.host):
            reason = f"the service listens on {settings.host}, where others can try it, and the password {weakness}"
            raise SettingWrong("shared_password", "(hidden)", reason)
        return settings.shared_password
    return kept_in(installation.path("secrets") / "shared-password", lambda: secrets.token_urlsafe(BYTES))


def announcement(installation: Installation, settings: Settings) -> str:
    """The random password, the first time that it is asked for; `""` afterwards and where it is not random."""
    if settings.authenticator != SHARED or settings.shared_password:
        return ""
    printed = installation.path("secrets") / "shared-password-was-printed"
    if printed.exists():
        return ""
    write_private(printed, "")
    return shared_password(installation, settings)


def credentials(settings: Settings) -> str:
    """Whether what people keep for their private repositories is theirs alone, in a sentence."""
    if settings.authenticator not in NAMED_FREELY:
        return "people keep their own, if `authenticator` proves who they are"
    freely = f'with authenticator = "{settings.authenticator}" whoever may sign in takes any name'
    if settings.credentials_of_any_name:
        return f"{freely}, and uses what it keeps (credentials_of_any_name)"
    return f"none are kept: {freely}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
