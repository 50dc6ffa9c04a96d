"""Deploy keys: made here, for one repository each; the private half is never shown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DeployKey:
    """Both halves, as OpenSSH writes them."""

    public: str
    private: str = field(repr=False)


def new_key(comment: str) -> DeployKey:
    """An ed25519 key; `comment` is the end of its public line."""
    # Most launchers make none all day; the library takes some MiB.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return DeployKey(f"{public.decode()} {comment}", private.decode())
