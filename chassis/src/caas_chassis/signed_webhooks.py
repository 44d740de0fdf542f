"""Webhooks that partners sign as Standard Webhooks says: are they theirs, and fresh?

Invariant: every way in which the library can fail on hostile input is an objection, never an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Objection(StrEnum):
    """What is wrong with a webhook."""

    FORGED = "forged"
    STALE = "stale"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Signed:
    """A webhook of the partner. `proof` are the headers that were verified; `id` is the same at each delivery."""

    id: str
    proof: Mapping[str, str]


class SignatureVerifier:
    """Verifies signatures made with one of `secrets` (`whsec_...`): one, or two during a rotation.

    Without a secret every webhook is objected to. Raises ValueError for a secret that is not base64.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(Webhook(secret) for secret in secrets)

    def verify(self, headers: Mapping[str, str], body: bytes) -> Signed | Objection:
        """The webhook when it was signed within the last five minutes of real time, else what is wrong.

        `headers` have lower-case names.
        """
        proof = {name: headers.get(name, "") for name in _HEADERS}
        if not all(proof.values()):
            return Objection.MALFORMED
        last = Objection.FORGED
        for secret in self._secrets:
            objection = _objection(secret, proof, body)
            if objection is None:
                return Signed(proof["webhook-id"], proof)
            last = objection
        return last


def _objection(secret: Webhook, headers: dict[str, str], body: bytes) -> Objection | None:
    """What one secret has against a webhook; None when it signed it."""
    try:
        secret.verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        # The library tells them apart in words only; nothing but the count of refusals depends on it.
        return Objection.STALE if "timestamp too" in str(error) else Objection.FORGED
    except ValueError:
        # The library lets errors of decoding base64, UTF-8 and the header's form through as they are.
        return Objection.FORGED
    return None
