"""Build tokens: what a launch page has for its program; each frees one launch from its address's limit.

JSON web tokens, as BinderHub's: for one link (`aud`), one site (`origin`) and a few minutes (`exp`). Each frees once,
and an address is given as many as it may begin launches: fetching pages is no way round the limit.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

import jwt

from launcher.errors import BuildTokenRefused
from launcher.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHM: Final = "HS256"
GOOD_S: Final = 300
CLAIMS: Final = ["exp", "aud", "origin", "jti"]
LONGEST: Final = 4096


class BuildTokens:
    """Mints and reads them."""

    def __init__(self, secret: bytes, per_address: Rates, clock: Callable[[], float]) -> None:
        """`secret` signs other things too; `clock`: seconds since the epoch."""
        self._key = hmac.new(secret, b"build token", hashlib.sha256).digest()
        self._clock = clock
        self._minted, self._spent = per_address, Rates(1, per_address.clock)

    def mint(self, link: str, host: str, address: str) -> str:
        """One for the page of `link` (`gh/user/repo/main`) at `host`; `""`: this address has had enough."""
        if self._minted.wait_s(address):
            return ""
        self._minted.count(address)
        claims = {"exp": int(self._clock()) + GOOD_S, "aud": link, "origin": host, "jti": secrets.token_hex(8)}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def spend(self, token: str, link: str, origin: str, host: str) -> bool:
        """Whether it frees this launch: once. `origin`: the header. Raises BuildTokenRefused where it is not good."""
        try:
            if len(token) > LONGEST:
                raise BuildTokenRefused("is too long")
            claims = jwt.decode(token, self._key, [ALGORITHM], audience=link, options={"require": CLAIMS})
        except jwt.ExpiredSignatureError:
            raise BuildTokenRefused("has expired") from None
        except jwt.InvalidAudienceError:
            raise BuildTokenRefused("was made for another link") from None
        except jwt.InvalidTokenError:
            raise BuildTokenRefused("was not made here") from None
        if claims["origin"] != (origin.partition("://")[2] if origin else host):
            raise BuildTokenRefused("was made for a page of another site")
        if self._spent.wait_s(claims["jti"]):
            return False
        self._spent.count(claims["jti"])
        return True
