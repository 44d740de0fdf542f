"""Why a request is refused: stable codes, and one sentence that says what to do."""

from dataclasses import dataclass
from enum import StrEnum


class RefusalCode(StrEnum):
    """The business refusals. HTTP gives each a status; a refused message is parked with it."""

    PURCHASE_NOT_FOUND = "purchase_not_found"
    PURCHASE_ID_REUSED = "purchase_id_reused"
    VEHICLE_NOT_FOUND = "vehicle_not_found"
    CUSTOMER_NOT_FOUND = "customer_not_found"
    SERVICE_UNKNOWN = "service_unknown"
    SERVICE_NOT_ALLOWED = "service_not_allowed"
    KIND_NOT_OFFERED = "kind_not_offered"
    DURATION_NOT_OFFERED = "duration_not_offered"
    DURATION_NOT_ALLOWED = "duration_not_allowed"
    CONSENT_MISSING = "consent_missing"
    SERVICE_ALREADY_BOUGHT = "service_already_bought"
    ALREADY_ACTIVE = "already_active"
    ALREADY_ENDED = "already_ended"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that cannot be served, with its reason."""

    code: RefusalCode
    detail: str
