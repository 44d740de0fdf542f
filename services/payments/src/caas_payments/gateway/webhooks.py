"""What the bridge needs of a gateway's webhooks, whoever the gateway is (GW-5, GW-7).

Invariant: nothing is read from a body whose signature, age and form are not verified.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.domain.webhook import VerifiedWebhook as VerifiedWebhook

MAX_BODY_BYTES: Final = 65_536
"""The largest webhook that is accepted; also what the contract's `body` can hold."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something happened to a transaction: an open attempt may be settled by looking it up."""


@dataclass(frozen=True, slots=True)
class Held:
    """Money is held or was taken under a transaction, perhaps one that we had given up (GW-4)."""


@dataclass(frozen=True, slots=True)
class Disputed:
    """The customer's bank takes captured money back; the amount is in minor units."""

    id: str
    amount_minor: int
    currency: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The money of a transaction will not be paid out to us (SVC-8)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It speaks of a dispute, and does not say which or how much."""


type Meaning = Changed | Held | Disputed | Unsettled | Unreadable


class WebhookReader(Protocol):
    """One gateway's way to sign and to word its webhooks. Pure: nothing is asked of anybody."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedWebhook:
        """The webhook, when it is signed by our gateway within the last five minutes of real time.

        `headers` have lower-case names; `now` is the business instant, and only recorded. Raises WebhookRefused
        when the webhook is forged, stale or malformed.
        """
        ...

    def meaning(self, webhook: GatewayWebhookReceived) -> Meaning:
        """What a verified webhook hints at."""
        ...
