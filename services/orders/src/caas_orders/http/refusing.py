"""Which problem an HTTP caller gets for each refusal of the domain and each end of a purchase."""

from collections.abc import Mapping
from typing import Final

from caas_chassis.errors import Problem
from caas_orders import errors
from caas_orders.domain.purchase import GATEWAY_UNREACHABLE, Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus

_REFUSALS: Final[Mapping[RefusalCode, type[Problem]]] = {
    RefusalCode.PURCHASE_NOT_FOUND: errors.PurchaseNotFound,
    RefusalCode.PURCHASE_ID_REUSED: errors.PurchaseIdReused,
    RefusalCode.VEHICLE_NOT_FOUND: errors.VehicleNotFound,
    RefusalCode.VEHICLE_REPORTED_STOLEN: errors.VehicleReportedStolen,
    RefusalCode.CUSTOMER_NOT_FOUND: errors.CustomerNotFound,
    RefusalCode.SERVICE_UNKNOWN: errors.ServiceUnknown,
    RefusalCode.SERVICE_NOT_ALLOWED: errors.ServiceNotAllowed,
    RefusalCode.KIND_NOT_OFFERED: errors.KindNotOffered,
    RefusalCode.DURATION_NOT_OFFERED: errors.DurationNotOffered,
    RefusalCode.DURATION_NOT_ALLOWED: errors.DurationNotAllowed,
    RefusalCode.PERIOD_NOT_OFFERED: errors.PeriodNotOffered,
    RefusalCode.PERIOD_NOT_ALLOWED: errors.PeriodNotAllowed,
    RefusalCode.START_NOT_ALLOWED: errors.StartNotAllowed,
    RefusalCode.TIME_ZONE_UNKNOWN: errors.TimeZoneUnknown,
    RefusalCode.CONSENT_MISSING: errors.ConsentMissing,
    RefusalCode.SERVICE_ALREADY_BOUGHT: errors.ServiceAlreadyBought,
    RefusalCode.ALREADY_ACTIVE: errors.AlreadyActive,
    RefusalCode.ALREADY_ENDED: errors.AlreadyEnded,
    RefusalCode.WITHDRAWAL_PERIOD_OVER: errors.WithdrawalPeriodOver,
    RefusalCode.SERVICE_ENDED: errors.ServiceEnded,
    RefusalCode.CANCEL_INSTEAD: errors.CancelInstead,
    RefusalCode.NOTHING_TO_WITHDRAW: errors.NothingToWithdraw,
    RefusalCode.ALREADY_WITHDRAWN: errors.AlreadyWithdrawn,
    RefusalCode.WITHDRAWAL_NOT_FOUND: errors.WithdrawalNotFound,
    RefusalCode.ORDER_NOT_FOUND: errors.OrderNotFound,
    RefusalCode.MODEL_UNKNOWN: errors.ModelUnknown,
    RefusalCode.OPTION_UNKNOWN: errors.OptionUnknown,
    RefusalCode.OPTION_NOT_ALLOWED: errors.OptionNotAllowed,
    RefusalCode.DEALERSHIP_UNKNOWN: errors.DealershipUnknown,
    RefusalCode.VEHICLE_NOT_AVAILABLE: errors.VehicleNotAvailable,
    RefusalCode.ORDER_NOT_READY: errors.OrderNotReady,
    RefusalCode.PAYMENT_IN_PROGRESS: errors.PaymentInProgress,
    RefusalCode.ORDER_ALREADY_PAID: errors.OrderAlreadyPaid,
    RefusalCode.ORDER_FORFEITED: errors.OrderForfeited,
    RefusalCode.DEADLINE_PASSED: errors.DeadlinePassed,
    RefusalCode.WRONG_AMOUNT: errors.WrongAmount,
    RefusalCode.NOTHING_TO_RESUBMIT: errors.NothingToResubmit,
    RefusalCode.INVITATION_INVALID: errors.InvitationInvalid,
}

_ENDS: Final[Mapping[PurchaseStatus, type[Problem]]] = {
    PurchaseStatus.DECLINED: errors.PaymentDeclined,
    PurchaseStatus.BLOCKED: errors.MaintenanceBlocks,
    PurchaseStatus.FAILED: errors.ActivationFailed,
    PurchaseStatus.CANCELLED: errors.PurchaseCancelled,
}


def problem_of(refusal: Refusal) -> Problem:
    """The problem details of a refusal."""
    return _REFUSALS[refusal.code](refusal.detail)


def problem_of_end(purchase: Purchase) -> Problem | None:
    """The problem details of a purchase that ended without the service; None for any other."""
    unreachable = purchase.status is PurchaseStatus.FAILED and purchase.reason == GATEWAY_UNREACHABLE
    kind = errors.PaymentUnavailable if unreachable else _ENDS.get(purchase.status)
    paid_back = purchase.money is MoneyOutcome.REFUNDED
    money = "what was charged has been paid back" if paid_back else "nothing was charged"
    return None if kind is None else kind(f"{purchase.reason}; {money}, you may try again")
