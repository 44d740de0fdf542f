"""PAY-9 for the first payment of a purchase: its customer is mailed the bank's link, once, and nobody else sees it."""

from datetime import timedelta

from caas_chassis.testing.harness import Harness
from caas_contracts.payments import PaymentActionRequired, PaymentPurpose
from caas_orders.domain.purchase import Purchase, payment_of
from services.orders.tests.builders import PlayedMailer, payment_authorized, payment_failed, place_purchase
from services.orders.tests.life_builders import LINK, a_planned, placed


def needed(purchase: Purchase) -> PaymentActionRequired:
    return PaymentActionRequired(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=purchase.requested_at,
        action_url=LINK,
        expires_at=purchase.requested_at + timedelta(hours=24),
    )


async def filed(harness: Harness) -> list[str]:
    async with harness.transaction() as tx:
        rows = await tx.fetch("SELECT body FROM notifications WHERE kind = 'payment_confirmation_needed'")
    return [row["body"] for row in rows]


async def test_a_customer_is_mailed_the_link_once_and_their_file_has_none(
    harness: Harness, mailer: PlayedMailer
) -> None:
    for command in (place_purchase(), a_planned(service_code="ambient-light")):
        purchase = await placed(harness, command)
        await harness.receive(needed(purchase))
        await harness.receive(needed(purchase))
    await harness.run_effects()
    assert mailer.subjects == [
        "Su banco le pide que confirme el pago de Sonido prémium",
        "Su banco le pide que confirme el pago de Iluminación ambiental",
    ]
    assert all(LINK in mail.text for mail in mailer.sent)
    assert len(await filed(harness)) == 2
    assert not any(LINK in body for body in await filed(harness)), "whoever reads the purchase file cannot use it"


async def test_nobody_is_asked_to_confirm_what_was_decided_meanwhile(harness: Harness) -> None:
    purchase = await placed(harness, place_purchase())
    await harness.receive(payment_failed(purchase, "authentication_expired"), needed(purchase))
    assert await filed(harness) == []


async def test_a_payment_of_somebody_elses_subject_is_no_matter_of_ours(harness: Harness) -> None:
    purchase = await placed(harness, place_purchase())
    other = needed(purchase).model_copy(update={"payment_id": purchase.activation_id})
    await harness.receive(other)
    assert await filed(harness) == []
    await harness.receive(payment_authorized(purchase))
    assert await harness.parked() == []
