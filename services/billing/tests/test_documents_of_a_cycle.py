"""What a real closing of a month leaves becomes pages and e-mails: one of each per invoice, saying what was rated."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from caas_billing.domain.issued import IssuedInvoice
from caas_billing.gateway.wording import formatted_amount
from caas_billing.store import reading
from caas_chassis.testing.harness import Harness
from caas_contracts.payments import ChargePayment, PaymentConfirmed, PaymentRefunded
from caas_contracts.subscriptions import RatePlanKind
from services.billing.tests.cycle_builders import OCTOBER, Subscription, a_plan, a_subscription, stored, tiers
from services.billing.tests.running import MailSink
from services.billing.tests.test_closing import a_run, close
from services.billing.tests.test_documents import words_in

PLANS = [
    a_plan(plan_code="use"),
    a_plan(RatePlanKind.PER_DAY_USED, "79", plan_code="days"),
    a_plan(RatePlanKind.FLAT_MONTHLY, "899", plan_code="flat"),
    a_plan(RatePlanKind.TIERED, plan_code="tiered", unit="km", tiers=tiers(("10", "4"), (None, "1.333333"))),
]
LATE = (OCTOBER, date(2026, 9, 30), Decimal("2.5"))


def a_late_one(plan_code: str) -> Subscription:
    """Used on two days of October and, reported late, on one of September."""
    one = a_subscription(("2026-10-01", "8"), ("2026-10-02", "4.5"), plan_code=plan_code)
    return Subscription(subscription_id=one.subscription_id, plan_code=plan_code, uses=[*one.uses, LATE])


async def closed(billing: Harness, *subscriptions: Subscription) -> dict[UUID, IssuedInvoice]:
    """The invoices of October by subscription, with their pages made and mailed."""
    await stored(billing, *PLANS, *subscriptions)
    await close(billing, await a_run(billing))
    await billing.run_effects()
    async with billing.runtime.reading() as tx:
        found = await reading.list_invoices(tx, reading.InvoiceFilter(limit=200))
    return {invoice.subject_id: invoice for invoice in found}


async def words_by_invoice(billing: Harness) -> dict[UUID, str]:
    async with billing.runtime.reading() as tx:
        rows = await tx.fetch("SELECT document_id, pdf FROM document")
    return {row["document_id"]: words_in(bytes(row["pdf"])) for row in rows}


async def test_every_invoice_of_a_cycle_gets_its_page_and_its_mail(billing: Harness, mail: MailSink) -> None:
    codes = ("use", "days", "flat", "tiered")
    subscriptions = [a_late_one(code) for code in codes]
    part = datetime(2026, 10, 14, 9, tzinfo=UTC)
    pro_rated = a_subscription(plan_code="flat", started_at=part)
    refused = a_subscription(("2026-10-31", "10"), plan_code="use", method_refused=True)
    invoices = await closed(billing, *subscriptions, pro_rated, refused)

    assert len(invoices) == 6
    words = await words_by_invoice(billing)
    assert set(words) == {invoice.invoice_id for invoice in invoices.values()}
    assert len(mail.messages) == 6
    for invoice in invoices.values():
        assert sum(line.total_minor for line in invoice.usage_lines) == invoice.total.amount_minor
        assert invoice.number in words[invoice.invoice_id]
        total = formatted_amount(invoice.total.amount_minor, "EUR", "es").replace("\xa0", " ")
        assert f"Total {total}" in words[invoice.invoice_id]

    def page(one: Subscription) -> str:
        return words[invoices[one.subscription_id].invoice_id]

    use, days, flat, tiered = (page(one) for one in subscriptions)
    assert "Uso de octubre de 2026 12,5 min 0,035 €/min 0,44 €" in use
    assert "Uso de septiembre de 2026, comunicado con retraso 2,5 min 0,035 €/min 0,09 €" in use
    assert "30 de septiembre de 2026 1-2 de octubre de 2026" in use
    assert "Días con uso en octubre de 2026 2 días 0,79 €/día 1,58 €" in days
    assert "Cuota mensual de octubre de 2026 1 mes 8,99 €/mes 8,99 €" in flat
    assert "Hasta 10 km 10 km 0,04 €/km 0,40 €" in tiered
    assert "Más de 10 km 2,5 km 0,01333333 €/km 0,03 €" in tiered
    assert "Del 14 de octubre de 2026 al 31 de octubre de 2026 18 de 31 días 8,99 €/mes 5,22 €" in page(pro_rated)
    assert "su medio de pago fue rechazado" in page(refused)


async def test_a_cycle_that_owes_nothing_makes_no_page(billing: Harness, mail: MailSink) -> None:
    assert await closed(billing, a_subscription(plan_code="use")) == {}
    assert await words_by_invoice(billing) == {}
    assert mail.messages == []  # SUB-5


async def test_a_bill_that_was_charged_and_paid_back_is_credited(billing: Harness, mail: MailSink) -> None:
    one = a_subscription(("2026-10-01", "100"), plan_code="use")
    invoice = (await closed(billing, one))[one.subscription_id]
    (charge,) = await billing.published(ChargePayment)
    paid = PaymentConfirmed(
        payment_id=charge.payment_id,
        purpose=charge.purpose,
        customer_id=charge.customer_id,
        subject_id=charge.subject_id,
        amount=charge.amount,
        occurred_at=charge.requested_at,
        gateway_transaction_id="txn_1",
    )
    refunded = PaymentRefunded(
        **paid.model_dump(exclude={"gateway_transaction_id"}),
        refund_id=uuid4(),
        refunded=invoice.total,
        refunded_total=invoice.total,
        reason="goodwill",
    )
    await billing.receive(paid, refunded)
    await billing.run_effects()

    async with billing.runtime.reading() as tx:
        (read,) = await reading.list_invoices(tx, reading.InvoiceFilter())
    (note,) = read.credit_notes
    assert (note.base, note.vat, note.total) == (invoice.base, invoice.vat, invoice.total)
    assert f"Rectifica la factura {invoice.number}" in (await words_by_invoice(billing))[note.credit_note_id]
    assert [message["Subject"] for message in mail.messages] == [
        f"Su factura {invoice.number} de octubre de 2026",
        f"Su factura rectificativa {note.number}",
    ]
