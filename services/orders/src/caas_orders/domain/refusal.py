"""Why a request is refused: stable codes, and one sentence that says what to do."""

from dataclasses import dataclass
from enum import StrEnum


class RefusalCode(StrEnum):
    """The business refusals. HTTP gives each a status; a refused message is parked with it."""

    PURCHASE_NOT_FOUND = "purchase_not_found"
    PURCHASE_ID_REUSED = "purchase_id_reused"
    VEHICLE_NOT_FOUND = "vehicle_not_found"
    VEHICLE_REPORTED_STOLEN = "vehicle_reported_stolen"
    CUSTOMER_NOT_FOUND = "customer_not_found"
    SERVICE_UNKNOWN = "service_unknown"
    SERVICE_NOT_ALLOWED = "service_not_allowed"
    KIND_NOT_OFFERED = "kind_not_offered"
    DURATION_NOT_OFFERED = "duration_not_offered"
    DURATION_NOT_ALLOWED = "duration_not_allowed"
    PERIOD_NOT_OFFERED = "period_not_offered"
    PERIOD_NOT_ALLOWED = "period_not_allowed"
    START_NOT_ALLOWED = "start_not_allowed"
    TIME_ZONE_UNKNOWN = "time_zone_unknown"
    CONSENT_MISSING = "consent_missing"
    SERVICE_ALREADY_BOUGHT = "service_already_bought"
    ALREADY_ACTIVE = "already_active"
    ALREADY_ENDED = "already_ended"
    WITHDRAWAL_PERIOD_OVER = "withdrawal_period_over"
    SERVICE_ENDED = "service_ended"
    CANCEL_INSTEAD = "cancel_instead"
    NOTHING_TO_WITHDRAW = "nothing_to_withdraw"
    ALREADY_WITHDRAWN = "already_withdrawn"
    WITHDRAWAL_NOT_FOUND = "withdrawal_not_found"
    ORDER_NOT_FOUND = "order_not_found"
    MODEL_UNKNOWN = "model_unknown"
    OPTION_UNKNOWN = "option_unknown"
    OPTION_NOT_ALLOWED = "option_not_allowed"
    DEALERSHIP_UNKNOWN = "dealership_unknown"
    VEHICLE_NOT_AVAILABLE = "vehicle_not_available"
    ORDER_NOT_READY = "order_not_ready"
    PAYMENT_IN_PROGRESS = "payment_in_progress"
    ORDER_ALREADY_PAID = "order_already_paid"
    ORDER_FORFEITED = "order_forfeited"
    DEADLINE_PASSED = "deadline_passed"
    WRONG_AMOUNT = "wrong_amount"
    NOTHING_TO_RESUBMIT = "nothing_to_resubmit"
    INVITATION_INVALID = "invitation_invalid"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that cannot be served, with its reason."""

    code: RefusalCode
    detail: str
