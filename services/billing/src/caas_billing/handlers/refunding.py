"""Credit notes: one per refund, as soon as there is an invoice, never above it (PAY-8, INV-3)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from caas_billing.domain.credit_note import Refund
from caas_billing.errors import RefundExceedsCapture, RefundWithoutCapture
from caas_billing.handlers.issuing import issue_credit_notes
from caas_billing.store import credit_notes, monthly_invoices, sales, vehicle_sales
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts import Money
from caas_contracts.payments import PaymentPurpose, PaymentRefunded


async def credit_refunds(received: Sequence[Received[PaymentRefunded]], *, tx: Tx) -> None:
    """Issue a credit note for each refund of what paid an invoice; any other payment gets none.

    So money of a monthly invoice that came twice is given back without a credit note: the invoice stands.
    """
    causes = {one.message.payment_id: one.cause for one in received}
    captured = await _lock_captured([one.message for one in received], tx=tx)
    known = await credit_notes.known_refunds(tx, [one.message.refund_id for one in received])
    new = {one.message.refund_id: one.message for one in received if one.message.refund_id not in known}
    refunds = _accepted(new.values(), captured)
    await credit_notes.add_refunds(tx, refunds)
    await sales.add_refunded(tx, _sums(refunds))
    await vehicle_sales.add_refunded(tx, _sums(refunds))
    await issue_credit_notes(causes, tx=tx)


async def _lock_captured(refunds: Sequence[PaymentRefunded], *, tx: Tx) -> dict[UUID, tuple[Money, int]]:
    """What payments took, and, in minor units, what they gave back before. Their rows stay locked."""
    of = {
        purpose: [one.payment_id for one in refunds if one.purpose is purpose]
        for purpose in sorted({one.purpose for one in refunds})
    }
    captured: dict[UUID, tuple[Money, int]] = {}
    for purpose, payment_ids in of.items():
        captured |= await _LOCKS[purpose](tx, payment_ids)
    return captured


def _accepted(new: Iterable[PaymentRefunded], captured: Mapping[UUID, tuple[Money, int]]) -> list[Refund]:
    """Raises RefundWithoutCapture or RefundExceedsCapture for the first refund that cannot be (PAY-8)."""
    refunded = {payment_id: before for payment_id, (_, before) in captured.items()}
    accepted = []
    for message in new:
        if message.payment_id not in captured:
            raise RefundWithoutCapture(message.refund_id, message.payment_id)
        limit, _ = captured[message.payment_id]
        before = refunded[message.payment_id]
        after = before + message.refunded.amount_minor
        if message.refunded.currency != limit.currency or after > limit.amount_minor:
            raise RefundExceedsCapture(message.refund_id, message.payment_id)
        refunded[message.payment_id] = after
        accepted.append(_refund(message, before))
    return accepted


def _refund(message: PaymentRefunded, refunded_before_minor: int) -> Refund:
    return Refund(
        refund_id=message.refund_id,
        payment_id=message.payment_id,
        refunded=message.refunded,
        refunded_before_minor=refunded_before_minor,
        reason=message.reason,
        refunded_at=message.occurred_at,
    )


def _sums(refunds: Sequence[Refund]) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for refund in refunds:
        sums[refund.payment_id] = sums.get(refund.payment_id, 0) + refund.refunded.amount_minor
    return sums


_LOCKS: Final[Mapping[PaymentPurpose, Callable[[Tx, Sequence[UUID]], Awaitable[dict[UUID, tuple[Money, int]]]]]] = {
    PaymentPurpose.SERVICE: sales.lock_captured,
    PaymentPurpose.RESERVATION: vehicle_sales.lock_paid,
    PaymentPurpose.FINAL: vehicle_sales.lock_paid,
    PaymentPurpose.SUBSCRIPTION: monthly_invoices.lock_charged,
}
