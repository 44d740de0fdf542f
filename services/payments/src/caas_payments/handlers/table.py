"""The service's table of contents: which message, timer and effect is answered by what."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from caas_chassis.handling import Handler, each
from caas_chassis.timers import TimerHandler
from caas_contracts import Message
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.ota import ActivationFailed, ServiceActivated
from caas_contracts.payments import (
    AuthorizePayment,
    CancelPayment,
    CapturePayment,
    ChargePayment,
    FailSettlement,
    QueryPaymentStatus,
    RecordSettlement,
    RefundPayment,
)
from caas_contracts.purchase_life import ChargePlannedService, ChargeRenewal
from caas_payments.domain.rules import Rules
from caas_payments.gateway.webhooks import WebhookReader
from caas_payments.handlers.batch import ACTION_DEADLINE, HOLD_DEADLINE
from caas_payments.handlers.commands import (
    begin_payments,
    cancel_payments,
    capture_payment,
    fail_settlements,
    record_settlements,
    refund_payment,
    report_statuses,
)
from caas_payments.handlers.hints import follow_hints
from caas_payments.handlers.paying import expire_actions
from caas_payments.handlers.results import accept_failures, accept_successes, pass_deadlines

HANDLERS: Final[Mapping[type[Message], Any]] = {
    AuthorizePayment: begin_payments,
    ChargePayment: begin_payments,
    ChargePlannedService: begin_payments,
    ChargeRenewal: begin_payments,
    CancelPayment: cancel_payments,
    RecordSettlement: record_settlements,
    FailSettlement: fail_settlements,
    QueryPaymentStatus: report_statuses,
    ServiceActivated: accept_successes,
    ActivationFailed: accept_failures,
}
"""Answered for a whole batch at once."""

RARE_HANDLERS: Final[Mapping[type[Message], Any]] = {
    RefundPayment: refund_payment,
    CapturePayment: capture_payment,
}
"""Answered one by one."""

TIMERS: Final[Mapping[str, Any]] = {HOLD_DEADLINE: pass_deadlines, ACTION_DEADLINE: expire_actions}


def handlers_under(rules: Rules, reader: WebhookReader) -> Mapping[type[Message], Handler[Any]]:
    """The handlers with the rules of this deployment, and its gateway's way to word webhooks."""
    together: dict[type[Message], Handler[Any]] = {
        message: partial(handler, rules=rules) for message, handler in HANDLERS.items()
    }
    one_by_one: dict[type[Message], Handler[Any]] = {
        message: each(partial(handler, rules=rules)) for message, handler in RARE_HANDLERS.items()
    }
    hints: dict[type[Message], Handler[Any]] = {
        GatewayWebhookReceived: partial(follow_hints, rules=rules, reader=reader)
    }
    return together | one_by_one | hints


def timers_under(rules: Rules) -> Mapping[str, TimerHandler]:
    """The timers with the rules of this deployment."""
    return {timer: partial(handler, rules=rules) for timer, handler in TIMERS.items()}
