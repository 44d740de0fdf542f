"""Ed25519: whether a vehicle signed what it is said to have said (charge fence)."""

import base64
import binascii
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from caas_ota.domain.acknowledgement import Acknowledgement

# Loading a key costs as much as a fifth of a verification; a fleet's active part fits.
_CACHED_KEYS: Final = 20_000


def verify_signature(public_key: str, ack: Acknowledgement) -> bool:
    """Whether the acknowledgement's signature is one by this key, base64 of the raw 32 bytes."""
    key = _key(public_key)
    if key is None:
        return False
    try:
        key.verify(base64.b64decode(ack.signature, validate=True), ack.signed_text.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=_CACHED_KEYS)
def _key(public_key: str) -> Ed25519PublicKey | None:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except (binascii.Error, ValueError):
        return None
