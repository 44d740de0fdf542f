"""One vehicle order through its whole life, as payments and the partners tell it, on a real PostgreSQL."""

import itertools
from datetime import timedelta

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import PaymentPurpose, RefundPayment
from caas_contracts.vehicle_orders import (
    VehicleBuilt,
    VehicleDelivered,
    VehicleDeliveryEstimated,
    VehicleDeliveryScheduled,
    VehicleOrderDeclined,
    VehicleOrdered,
    VehicleOrderPaid,
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleReady,
    VehicleRegisteredForTraffic,
)
from caas_orders.domain.factory_event import Arrived, Built, EstimateChanged
from caas_orders.domain.order_status import VehicleOrderStatus, VehicleStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Language
from caas_orders.gateway.supply import (
    FactoryAccepted,
    Refused,
    RegistrationPending,
    RegistrationRejected,
    TransportDelivered,
    Unanswered,
)
from caas_orders.handlers.reserving import Configuration, reserve
from caas_orders.handlers.supplying import apply_registration_answer, apply_transport_answer, resubmit_order
from services.orders.tests.builders import NOW, PlayedMailer
from services.orders.tests.order_builders import (
    DAY,
    DUE,
    POLICY,
    RESERVATION,
    TOTAL,
    VIN,
    PlayedSuppliers,
    a_wish,
    abandoned,
    charge_of,
    charges,
    confirmed,
    declined,
    every_factory_event,
    factory_event,
    forfeited,
    history_of,
    order_of,
    paying,
    ready,
    reserved,
    reserving,
    tell,
    vehicle_of,
)


async def test_a_reservation_is_asked_of_payments_at_once(harness: Harness) -> None:
    order = await reserving(harness)  # RES-1
    (placed,) = await harness.published(VehicleOrderPlaced)
    (charge,) = await charges(harness)
    assert order.status is VehicleOrderStatus.RESERVING
    assert (placed.total, placed.reservation, placed.vat_rate_bp) == (TOTAL, RESERVATION, 2100)
    assert (charge.purpose, charge.amount, charge.subject_id) == (
        PaymentPurpose.RESERVATION,
        RESERVATION,
        order.order_id,
    )
    assert charge.payment_id == placed.reservation_payment_id
    assert charge.idempotency_key == f"vehicle-order:{order.order_id}:reservation"  # PAY-7


async def test_a_confirmed_reservation_is_ordered_from_the_factory_at_once(
    harness: Harness, suppliers: PlayedSuppliers, mailer: PlayedMailer
) -> None:
    order = await reserved(harness)  # RES-2
    assert order.status is VehicleOrderStatus.RESERVED
    await harness.run_effects()
    ordered = await order_of(harness, order.order_id)
    (fact,) = await harness.published(VehicleOrdered)
    assert len(await harness.published(VehicleOrderReserved)) == 1
    assert (ordered.status, ordered.estimated_delivery_on) == (VehicleOrderStatus.ORDERED, DAY)
    assert fact.factory_order_id == ordered.factory_order_id
    assert [one.order_id for one in suppliers.orders] == [order.order_id]
    assert sorted(mailer.subjects) == [
        "La fábrica ha aceptado su CaaS One",
        "Su CaaS One está reservado",
        "Su acceso a la plataforma de CaaS",
    ]


async def test_a_declined_reservation_leaves_only_the_logged_attempt(
    harness: Harness, suppliers: PlayedSuppliers, mailer: PlayedMailer
) -> None:
    order = await reserving(harness)  # RES-3
    await harness.receive(declined(await charge_of(harness, order), "insufficient_funds"))
    await harness.run_effects()
    attempt = await order_of(harness, order.order_id)
    (fact,) = await harness.published(VehicleOrderDeclined)
    assert (attempt.status, attempt.reason, fact.reason) == (
        VehicleOrderStatus.DECLINED,
        "insufficient_funds",
        "insufficient_funds",
    )
    assert suppliers.orders == []
    assert "No hay saldo suficiente" in mailer.sent[0].text


async def test_a_silent_factory_is_asked_until_it_answers_and_operations_are_told_once(
    harness: Harness, suppliers: PlayedSuppliers
) -> None:
    suppliers.factory_answers = [Unanswered("ConnectError")] * 8  # RES-4
    order = await reserved(harness)
    for _ in range(12):
        await harness.run_effects()
        await harness.skip_delays()
    alerts = await harness.published(AlertRaised)
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.ORDERED
    assert {one.order_id for one in suppliers.orders} == {order.order_id}
    assert len(suppliers.orders) == 9
    assert [alert.kind for alert in alerts] == [AlertKind.RETRIES_EXHAUSTED]


async def test_a_factory_order_that_was_refused_waits_for_a_person_and_is_sent_again(
    harness: Harness, suppliers: PlayedSuppliers
) -> None:
    suppliers.factory_answers = [Refused("option_discontinued")]
    order = await reserved(harness)
    await harness.run_effects()
    refused = await order_of(harness, order.order_id)
    assert (refused.status, refused.problem) == (VehicleOrderStatus.RESERVED, "option_discontinued")
    assert [alert.kind for alert in await harness.published(AlertRaised)] == [AlertKind.PARTNER_REFUSED]
    async with harness.transaction() as tx:
        await resubmit_order(order.order_id, POLICY, tx=tx)
    await harness.run_effects()
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.ORDERED


async def test_an_order_goes_from_the_factory_to_the_customer(
    harness: Harness, suppliers: PlayedSuppliers, mailer: PlayedMailer
) -> None:
    order = await reserved(harness)  # FIN-1 to FIN-3
    await harness.run_effects()
    await tell(harness, factory_event(order, Built(VIN)), factory_event(order, Arrived(VIN)))
    order = await order_of(harness, order.order_id)
    assert (order.status, order.vehicle_id) == (VehicleOrderStatus.READY, VIN)
    await paying(harness, order)
    (charge,) = await charges(harness, PaymentPurpose.FINAL)
    assert (charge.amount, charge.vehicle_id) == (DUE, VIN)
    await harness.receive(confirmed(charge))
    await harness.run_effects()
    scheduled = await order_of(harness, order.order_id)
    assert (scheduled.status, scheduled.plates, scheduled.delivery_on) == (
        VehicleOrderStatus.DELIVERY_SCHEDULED,
        "1234 MRT",
        DAY,
    )
    suppliers.transport_answers = [TransportDelivered(f"tb-{order.order_id}", NOW)]
    await harness.skip_delays()
    await harness.run_effects()
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.DELIVERED
    (paid,) = await harness.published(VehicleOrderPaid)
    (due,) = await harness.published(VehicleReady)
    assert (paid.amount + paid.reservation, due.amount_due) == (TOTAL, DUE)
    for kind in (VehicleBuilt, VehicleRegisteredForTraffic, VehicleDeliveryScheduled, VehicleDelivered):
        assert len(await harness.published(kind)) == 1
    assert (await vehicle_of(harness)).status is VehicleStatus.SOLD
    assert mailer.subjects[-1] == "Disfrute de su CaaS One"
    assert len(mailer.subjects) == len(set(mailer.subjects)) == 9


@pytest.mark.parametrize("language", list(Language))
async def test_every_letter_can_be_written_in_both_languages(
    harness: Harness, mailer: PlayedMailer, language: Language
) -> None:
    lost = await forfeited(harness, a_wish(language=language))
    await harness.receive(confirmed(await charge_of(harness, lost)))  # Its money goes back.
    order = await ready(harness, a_wish(language=language), "WCAAS0NE5T0000002")
    await harness.receive(abandoned(await charge_of(harness, await paying(harness, order))))
    await tell(harness, factory_event(await reserved(harness, a_wish(language=language)), EstimateChanged(DAY)))
    await harness.receive(declined(await charge_of(harness, await reserving(harness, a_wish(language=language)))))
    await harness.receive(confirmed(await charge_of(harness, await paying(harness, order))))
    for _ in range(3):
        await harness.run_effects()
        await harness.skip_delays()
    async with harness.transaction() as tx:
        await apply_transport_answer(order.order_id, TransportDelivered("tb-1", NOW), tx=tx)
    await harness.run_effects()
    assert len(set(mailer.subjects)) >= 13
    assert all("{" not in mail.text and "None" not in mail.text for mail in mailer.sent)


# Facts that come twice, in any order, or against each other.


async def test_the_factory_s_events_move_the_order_in_every_order_of_arrival(harness: Harness) -> None:
    for number, permutation in enumerate(itertools.permutations(range(4))):
        vin = f"WCAAS0NE5T{number:07}"
        order = await reserved(harness)
        events = every_factory_event(order, vin)
        for index in permutation:
            await tell(harness, events[index])
            await tell(harness, events[index])
        await harness.run_effects()  # The factory's own answer comes last: built before ordered is recorded.
        arrived = await order_of(harness, order.order_id)
        assert (arrived.status, arrived.vehicle_id) == (VehicleOrderStatus.READY, vin), permutation
        assert arrived.factory_order_id == f"fo-{order.order_id}"
        assert await history_of(harness, vin) == [("assigned", order.order_id, "built")]
    for kind in (VehicleOrdered, VehicleBuilt, VehicleReady):
        assert len(await harness.published(kind)) == 24


async def test_only_the_newest_estimate_counts_and_the_customer_is_told_of_each_change(harness: Harness) -> None:
    order = await reserved(harness)
    await harness.run_effects()
    older, newer = every_factory_event(order)[:2]
    await tell(harness, newer, older, newer)
    assert (await order_of(harness, order.order_id)).estimated_delivery_on == DAY + timedelta(days=9)
    assert len(await harness.published(VehicleDeliveryEstimated)) == 1


async def test_factory_events_that_contradict_the_order_change_nothing(harness: Harness) -> None:
    first = await ready(harness)
    second = await reserved(harness)
    other_vehicle = factory_event(first, Built("WCAAS0NE5T0000009"))
    taken_vehicle = factory_event(second, Built(VIN))
    foreign = factory_event(await reserving(harness), Built("WCAAS0NE5T0000008"))
    await tell(harness, other_vehicle, taken_vehicle, foreign)
    assert await order_of(harness, first.order_id) == first
    assert (await order_of(harness, second.order_id)).status is VehicleOrderStatus.RESERVED
    assert (await vehicle_of(harness)).order_id == first.order_id
    assert [one.kind for one in await harness.published(AlertRaised)] == [AlertKind.PARTNER_REFUSED] * 3


async def test_a_factory_event_of_an_unknown_order_is_given_back(harness: Harness) -> None:
    order = await reserving(harness)
    async with harness.transaction() as tx:
        await tx.execute("DELETE FROM vehicle_orders")
    event = factory_event(order, Built(VIN))
    assert await tell(harness, event) == [event]


async def test_a_payment_told_again_changes_nothing(harness: Harness) -> None:
    order = await paying(harness, await ready(harness))
    charge = await charge_of(harness, order)
    await harness.receive(confirmed(charge), confirmed(charge), declined(charge), abandoned(charge))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAID
    assert len(await harness.published(VehicleOrderPaid)) == 1
    assert await harness.published(RefundPayment) == []


# Registration and transport.


async def test_a_rejected_registration_is_corrected_and_applied_for_again(
    harness: Harness, suppliers: PlayedSuppliers
) -> None:
    suppliers.registration_answers = [RegistrationPending("reg-1"), RegistrationRejected("reg-1", "tax_id_invalid")]
    order = await paying(harness, await ready(harness))
    await harness.receive(confirmed(await charge_of(harness, order)))
    await harness.run_effects()
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.REGISTERING
    await harness.skip_delays()
    await harness.run_effects()
    rejected = await order_of(harness, order.order_id)
    assert (rejected.status, rejected.problem) == (VehicleOrderStatus.REGISTERING, "tax_id_invalid")
    async with harness.transaction() as tx:
        await resubmit_order(order.order_id, POLICY, tx=tx)
        late = RegistrationRejected("reg-1", "tax_id_invalid")
        await apply_registration_answer(order.order_id, 1, late, tx=tx)
    assert (await order_of(harness, order.order_id)).problem == ""
    await harness.run_effects()
    assert (await order_of(harness, order.order_id)).plates == "1234 MRT"
    assert [request.submission for request in suppliers.registrations] == [1, 1, 2]


async def test_what_no_partner_has_refused_is_not_sent_again(harness: Harness) -> None:
    order = await reserved(harness)
    async with harness.transaction() as tx:
        outcome = await resubmit_order(order.order_id, POLICY, tx=tx)
    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.NOTHING_TO_RESUBMIT


# Invitations.


async def test_the_invitation_s_link_is_in_the_mail_alone(harness: Harness, mailer: PlayedMailer) -> None:
    await reserved(harness)  # RES-2
    await harness.run_effects()
    (mail,) = [mail for mail in mailer.sent if "/invitations#" in mail.text]
    token = mail.text.split("/invitations#")[1].split()[0]
    async with harness.transaction() as tx:
        stored = await tx.fetch("SELECT body FROM notifications")
        (hashed,) = await tx.fetch("SELECT token_hash, expires_at FROM invitations")
    assert not any(token in row["body"] for row in stored)
    assert token.encode() not in hashed["token_hash"]
    assert hashed["expires_at"] - harness.clock.now() <= POLICY.invitation_life


async def test_a_configuration_that_is_not_offered_is_refused(harness: Harness) -> None:
    wrong = [
        (Configuration("caas-boat", (), "madrid-norte"), RefusalCode.MODEL_UNKNOWN),
        (Configuration("caas-one", ("rocket",), "madrid-norte"), RefusalCode.OPTION_UNKNOWN),
        (Configuration("caas-one", ("tow-bar",), "madrid-norte"), RefusalCode.OPTION_NOT_ALLOWED),
        (Configuration("caas-one", ("seat-heating",) * 2, "madrid-norte"), RefusalCode.OPTION_NOT_ALLOWED),
        (Configuration("caas-one", (), "moon"), RefusalCode.DEALERSHIP_UNKNOWN),
    ]
    for configuration, code in wrong:
        async with harness.transaction() as tx:
            outcome = await reserve(a_wish(configuration), POLICY, tx=tx)
        assert isinstance(outcome, Refusal)
        assert outcome.code is code
    assert await charges(harness) == []


async def test_an_answer_of_the_factory_may_leave_the_day_open(harness: Harness, suppliers: PlayedSuppliers) -> None:
    suppliers.factory_answers = [FactoryAccepted("fo-1", None)]
    order = await reserved(harness)
    await harness.run_effects()
    assert (await order_of(harness, order.order_id)).estimated_delivery_on is None
