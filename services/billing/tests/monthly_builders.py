"""Monthly invoices for billing's tests: as documents, and stored as closing a period stores them."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from caas_billing.domain.document import Document, document_of_invoice
from caas_billing.domain.invoice import Invoice
from caas_billing.domain.monthly import SoldSubscription, TierRange, UsageLine
from caas_billing.domain.numbering import DocumentNumber, Series
from caas_billing.domain.vat import split_total
from caas_billing.store import invoices, numbers
from caas_chassis.transaction import Tx
from caas_contracts.billing import InvoiceKind
from caas_contracts.money import Money
from caas_contracts.payments import PaymentPurpose, PaymentRefunded
from caas_contracts.subscriptions import RatePlanKind
from services.billing.tests.builders import a_customer, euros

OCTOBER = date(2026, 10, 1)
CLOSED_AT = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


def a_usage_line(**changes: Any) -> UsageLine:
    """120.5 km of October at 3.5 cents."""
    values: dict[str, Any] = {
        "kind": RatePlanKind.PER_USE,
        "plan_code": "lane-keeping-per-km",
        "plan_version": 1,
        "used_in": OCTOBER,
        "unit": "km",
        "quantity": Decimal("120.5"),
        "rate": Decimal("3.5"),
        "tier": None,
        "days": None,
        "days_in_month": None,
        "first_day": OCTOBER,
        "usage_events": 14,
        "total_minor": 422,
    }
    return UsageLine(**values | changes)


def a_flat_line(days: int = 31, **changes: Any) -> UsageLine:
    """The monthly fee of 9.90 EUR for the last `days` days of October."""
    values: dict[str, Any] = {
        "kind": RatePlanKind.FLAT_MONTHLY,
        "plan_code": "navigation-monthly",
        "unit": None,
        "quantity": Decimal(1),
        "rate": Decimal(990),
        "days": days,
        "days_in_month": 31,
        "first_day": date(2026, 10, 32 - days),
        "usage_events": 0,
        "total_minor": (990 * days * 2 + 31) // 62,
    }
    return a_usage_line(**values | changes)


def tiered_lines(**changes: Any) -> tuple[UsageLine, ...]:
    """1,742.3 km in three steps."""
    steps = [
        (TierRange(Decimal(0), Decimal(500)), "500", "2.5", 1250),
        (TierRange(Decimal(500), Decimal(1500)), "1000", "1.25", 1250),
        (TierRange(Decimal(1500), None), "242.3", "0.125", 30),
    ]
    return tuple(
        a_usage_line(
            **{"kind": RatePlanKind.TIERED, "tier": tier, "quantity": Decimal(quantity), "rate": Decimal(rate)}
            | {"total_minor": total}
            | changes
        )
        for tier, quantity, rate, total in steps
    )


def a_subscription(**changes: Any) -> SoldSubscription:
    values: dict[str, Any] = {
        "code": "lane-keeping",
        "name": "Asistente de carril",
        "vehicle_id": "WVWZZZ1JZXW000001",
        "period": OCTOBER,
        "due_on": date(2026, 11, 8),
        "is_charged": True,
        "lines": (a_usage_line(),),
        "usage_days": days_of_october(1, 2, 3, 4, 7, *range(12, 32)),
    }
    return SoldSubscription(**values | changes)


def days_of_october(*days: int) -> tuple[date, ...]:
    return tuple(OCTOBER.replace(day=day) for day in days)


def a_monthly_invoice(sold: SoldSubscription | None = None, **changes: Any) -> Invoice:
    """The invoice of what the lines come to."""
    of = sold or a_subscription()
    invoice = Invoice(
        invoice_id=uuid4(),
        number=DocumentNumber(Series.SUBSCRIPTION, 2026, 42),
        kind=InvoiceKind.SUBSCRIPTION,
        payment_id=uuid4(),
        subject_id=uuid4(),
        customer=a_customer(),
        sold=of,
        currency="EUR",
        amount=split_total(sum(line.total_minor for line in of.lines), 2100),
        supplied_at=CLOSED_AT,
        issued_at=CLOSED_AT,
    )
    return replace(invoice, **changes)


def a_monthly_document(sold: SoldSubscription | None = None, **changes: Any) -> Document:
    return document_of_invoice(a_monthly_invoice(sold, **changes))


async def a_stored_invoice(tx: Tx, invoice: Invoice | None = None, *, paid: bool = False) -> Invoice:
    """Store a monthly invoice under the next number, with all that closing its period writes beside it."""
    wanted = invoice or a_monthly_invoice()
    (number,) = await numbers.take_numbers(tx, Series.SUBSCRIPTION, 1, CLOSED_AT)
    stored = replace(wanted, number=number)
    sold = stored.sold
    assert isinstance(sold, SoldSubscription)
    await _store_terms(tx, stored, sold)
    await invoices.add_invoices(tx, [stored])
    await _store_use(tx, stored, sold)
    await tx.execute(
        "INSERT INTO receivable (invoice_id, subscription_id, period, amount_minor, currency, due_on, status, attempts,"
        " changed_at) VALUES ($1, $2, $3, $4, 'EUR', $5, 'processing', 1, $6)",
        stored.invoice_id,
        stored.subject_id,
        sold.period,
        stored.amount.total_minor,
        sold.due_on,
        CLOSED_AT,
    )
    await an_attempt(tx, stored, 1, stored.payment_id if sold.is_charged else None)
    if paid:
        await an_outcome(tx, stored, 1, "paid")
    return stored


async def an_attempt(tx: Tx, invoice: Invoice, attempt: int, payment_id: UUID | None) -> None:
    """Store that a monthly invoice was charged, or could not be for want of a payment method."""
    await tx.execute(
        "INSERT INTO charge_attempt (invoice_id, attempt, payment_id, payment_method, asked_at)"
        " VALUES ($1, $2, $3, CASE WHEN $3::uuid IS NOT NULL THEN 'pm_ok' END, $4)",
        invoice.invoice_id,
        attempt,
        payment_id,
        CLOSED_AT,
    )


async def an_outcome(tx: Tx, invoice: Invoice, attempt: int, outcome: str) -> None:
    """Store what became of an attempt."""
    await tx.execute(
        "INSERT INTO charge_outcome (invoice_id, attempt, outcome, reason, known_at) VALUES ($1, $2, $3, '', $4)",
        invoice.invoice_id,
        attempt,
        outcome,
        CLOSED_AT,
    )


def a_monthly_refund(invoice: Invoice, refunded_minor: int, **changes: Any) -> PaymentRefunded:
    """A refund of a monthly invoice's first payment."""
    total = Money(amount_minor=invoice.amount.total_minor, currency=invoice.currency)
    values: dict[str, Any] = {
        "payment_id": invoice.payment_id,
        "purpose": PaymentPurpose.SUBSCRIPTION,
        "customer_id": invoice.customer.customer_id,
        "subject_id": invoice.invoice_id,
        "amount": total,
        "occurred_at": CLOSED_AT + timedelta(days=2),
        "refund_id": uuid4(),
        "refunded": euros(refunded_minor),
        "refunded_total": euros(refunded_minor),
        "reason": "goodwill",
    }
    return PaymentRefunded(**values | changes)


async def _store_terms(tx: Tx, invoice: Invoice, sold: SoldSubscription) -> None:
    for plan, version, kind in sorted({(line.plan_code, line.plan_version, line.kind) for line in sold.lines}):
        await tx.execute(
            "INSERT INTO rate_plan (plan_code, version, kind, currency, unit, rate, effective_from)"
            " VALUES ($1, $2, $3, 'EUR', 'km', $4, '2026-01-01') ON CONFLICT DO NOTHING",
            plan,
            version,
            kind.value,
            None if kind is RatePlanKind.TIERED else Decimal(1),
        )
    for number, line in enumerate((line for line in sold.lines if line.tier), start=1):
        assert line.tier is not None
        await tx.execute(
            "INSERT INTO rate_tier VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            line.plan_code,
            line.plan_version,
            number,
            line.tier.above,
            line.tier.up_to,
            line.rate,
        )
    customer, first = invoice.customer, sold.lines[0]
    await tx.execute(
        "INSERT INTO subscription (subscription_id, customer_id, customer_name, customer_email, customer_tax_id,"
        " customer_language, vehicle_id, service_code, service_name, plan_code, plan_version, currency, vat_rate_bp,"
        " activation_id, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'EUR', 2100, $12, $13)",
        invoice.subject_id,
        customer.customer_id,
        customer.name,
        customer.email,
        customer.tax_id,
        customer.language,
        sold.vehicle_id,
        sold.code,
        sold.name,
        first.plan_code,
        first.plan_version,
        uuid4(),
        datetime.combine(first.first_day, time(12), tzinfo=UTC),
    )


async def _store_use(tx: Tx, invoice: Invoice, sold: SoldSubscription) -> None:
    tier = 0
    for number, line in enumerate(sold.lines, start=1):
        tier += line.tier is not None
        await tx.execute(
            "INSERT INTO usage_line VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            invoice.invoice_id,
            number,
            line.kind.value,
            line.plan_code,
            line.plan_version,
            tier if line.tier else None,
            line.used_in,
            line.unit,
            line.quantity,
            line.rate,
            line.days,
            line.days_in_month,
            line.usage_events,
            line.total_minor,
        )
    for day in (*sold.usage_days, *sold.usage_days):
        await tx.execute(
            "INSERT INTO usage_event VALUES ($1, gen_random_uuid(), $2, $3, $4, 1)",
            invoice.subject_id,
            sold.period,
            day,
            datetime.combine(day, time(12), tzinfo=UTC),
        )
