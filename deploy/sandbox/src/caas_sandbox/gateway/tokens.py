"""Test tokens: the payment methods whose name chooses what happens, as at the well-known gateways."""

from dataclasses import dataclass

from caas_sandbox.faults import FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """How payments with one test token behave; the defaults are those of `tok_approved`.

    `disturbances[n]` spoils the n-th authorization request of a reference, counted from zero, `refund_disturbances[n]`
    the n-th request for a refund; the first `refund_refusals` of those are refused. `fails` is how many
    payments with one method (suffix included) are declined before they succeed; None declines them all.
    `action`: the customer confirms it on a page of the gateway first; `alone` is what a merchant-initiated payment
    is declined with instead (PAY-9).
    """

    name: str
    decline_code: str | None = None
    fails: int | None = None
    pending: bool = False
    action: bool = False
    alone: str | None = None
    capture_fails: bool = False
    keeps_rest: bool = False
    settles_half: bool = False
    settles_late: bool = False
    chargeback: bool = False
    disturbances: tuple[FaultKind, ...] = ()
    refund_disturbances: tuple[FaultKind, ...] = ()
    refund_refusals: int = 0


UNKNOWN = Token(name="unknown", decline_code="invalid_payment_method")

_TOKENS = {
    token.name: token
    for token in (
        Token(name="tok_approved"),
        Token(name="tok_declined", decline_code="card_declined"),
        Token(name="tok_insufficient_funds", decline_code="insufficient_funds"),
        Token(name="tok_invalid_card", decline_code="invalid_card"),
        Token(name="tok_lost_card", decline_code="lost_card"),
        Token(name="tok_stolen_card", decline_code="stolen_card"),
        Token(name="tok_closed_account", decline_code="closed_account"),
        Token(name="tok_expired_card", decline_code="expired_card"),
        Token(name="tok_invalid_account", decline_code="invalid_account"),
        Token(name="tok_do_not_honor", decline_code="do_not_honor"),
        Token(name="tok_try_again_later", decline_code="try_again_later"),
        Token(name="tok_fails_once", decline_code="insufficient_funds", fails=1),
        Token(name="tok_fails_twice", decline_code="insufficient_funds", fails=2),
        Token(name="tok_fails_three_times", decline_code="insufficient_funds", fails=3),
        Token(name="tok_requires_action", action=True),
        Token(name="tok_requires_action_declined", action=True, decline_code="card_declined"),
        Token(name="tok_authentication_required", action=True, alone="authentication_required"),
        Token(name="tok_fails_alone", alone="insufficient_funds"),
        Token(name="tok_timeout_before", disturbances=(FaultKind.TIMEOUT_BEFORE,)),
        Token(name="tok_timeout_after", disturbances=(FaultKind.TIMEOUT_AFTER,)),
        Token(name="tok_503_twice", disturbances=(FaultKind.UNAVAILABLE, FaultKind.UNAVAILABLE)),
        Token(name="tok_refund_503_twice", refund_disturbances=(FaultKind.UNAVAILABLE, FaultKind.UNAVAILABLE)),
        Token(name="tok_refund_timeout_after", refund_disturbances=(FaultKind.TIMEOUT_AFTER,)),
        Token(name="tok_refund_refused_twice", refund_refusals=2),
        Token(name="tok_pending", pending=True),
        Token(name="tok_pending_declined", pending=True, decline_code="card_declined"),
        Token(name="tok_capture_fails", capture_fails=True),
        Token(name="tok_keeps_rest", keeps_rest=True),
        Token(name="tok_settles_partially", settles_half=True),
        Token(name="tok_settles_late", settles_late=True),
        Token(name="tok_chargeback", chargeback=True),
    )
}


def token_of(payment_method: str) -> Token:
    """The behaviour of a payment method; what follows a `:` only tells customers apart."""
    return _TOKENS.get(payment_method.partition(":")[0], UNKNOWN)
