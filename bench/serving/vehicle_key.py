"""The key that every vehicle of the bench signs with."""

import base64
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED: Final = bytes(range(32))


def vehicle_key() -> Ed25519PrivateKey:
    """The private key."""
    return Ed25519PrivateKey.from_private_bytes(_SEED)


def vehicle_public_key() -> str:
    """The public key, in base64 as orders registers it."""
    return base64.b64encode(vehicle_key().public_key().public_bytes_raw()).decode()
