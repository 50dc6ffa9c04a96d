"""Encrypts credentials, and names namespaces: what is done with secrets of the installation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING

from launcher.errors import CredentialDamaged

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_KEY = re.compile(r"[0-9a-f]{64}")
_SPACE_DIGITS = 32


class Vault:
    """Locks and opens. Each text is bound to the credential that it belongs to: another's row does not open it."""

    def __init__(self, keys: str, naming: str) -> None:
        """`keys`: one or more of 64 hexadecimal digits, separated by white space; the first one locks, all open.

        `naming`: what namespaces are made with. Raises ValueError for what is no key.
        """
        self._keys = keys.split()
        if not self._keys or not naming or not all(map(_KEY.fullmatch, self._keys)):
            raise ValueError("a key of the credentials is not 64 hexadecimal digits")  # its value is told to nobody
        self._naming = naming.encode()
        self._fernet: MultiFernet | None = None

    def lock(self, credential: str, account: str, secret: str) -> str:
        """What may be kept of a secret."""
        body = json.dumps([credential, account, secret]).encode()
        return self._opener().encrypt(body).decode()

    def open(self, credential: str, account: str, locked: str) -> str:
        """The secret. Raises CredentialDamaged where it was locked with other keys, or is another credential's."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415  # see _opener

        try:
            bound, whose, secret = json.loads(self._opener().decrypt(locked.encode()))
        except (InvalidToken, ValueError):
            raise CredentialDamaged from None
        if (bound, whose) != (credential, account):
            raise CredentialDamaged
        return str(secret)

    def again(self, locked: str) -> str:
        """The same, locked with the first key. Raises CredentialDamaged."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415  # see _opener

        try:
            return self._opener().rotate(locked.encode()).decode()
        except InvalidToken:
            raise CredentialDamaged from None

    def space(self, url: str, account: str = "") -> str:
        """The namespace of a repository, or, with an account, of what this person alone has of it."""
        text = json.dumps([url, account]).encode()
        return hmac.new(self._naming, text, hashlib.sha256).hexdigest()[:_SPACE_DIGITS]

    def _opener(self) -> MultiFernet:
        if self._fernet is None:
            # Most launchers open no credential all day; the library takes some MiB.
            from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

            self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(bytes.fromhex(key))) for key in self._keys])
        return self._fernet
