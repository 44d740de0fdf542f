"""The final payment: paid, declined, unanswered, overdue, too early, too late, twice (FIN-1 to FIN-6)."""

from datetime import timedelta

from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import PaymentPurpose, RefundPayment
from caas_contracts.vehicle_orders import (
    VehicleAvailable,
    VehicleOrderForfeited,
)
from caas_orders.app import orders_service
from caas_orders.domain.factory_event import Arrived
from caas_orders.domain.order_status import VehicleOrderStatus, VehicleStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.sales_policy import ForfeitOn, SalesPolicy
from services.orders.tests.builders import PlayedMailer, PlayedMaintenance
from services.orders.tests.order_builders import (
    DUE,
    POLICY,
    RESERVATION,
    TOTAL,
    VIN,
    a_payment,
    abandoned,
    charge_of,
    charges,
    confirmed,
    declined,
    factory_event,
    forfeited,
    history_of,
    order_of,
    paying,
    ready,
    reserved,
    reserving,
    tell,
    try_to_pay,
    unsettled,
    vehicle_of,
)


async def test_a_declined_final_payment_forfeits_everything_in_one_transaction(
    harness: Harness, mailer: PlayedMailer
) -> None:
    order = await paying(harness, await ready(harness))  # FIN-4
    await harness.receive(declined(await charge_of(harness, order), "insufficient_funds"))
    await harness.run_effects()
    lost, vehicle = await order_of(harness, order.order_id), await vehicle_of(harness)
    (forfeit,) = await harness.published(VehicleOrderForfeited)
    (available,) = await harness.published(VehicleAvailable)
    assert (lost.status, lost.reason) == (VehicleOrderStatus.PAYMENT_FAILED, "insufficient_funds")
    assert (vehicle.status, vehicle.order_id) == (VehicleStatus.AVAILABLE_STOCK, None)
    assert (forfeit.reservation, forfeit.vin, available.former_order_id) == (RESERVATION, VIN, order.order_id)
    assert await history_of(harness) == [
        ("assigned", order.order_id, "built"),
        ("sin_asignar", None, "insufficient_funds"),
        ("available_stock", None, "insufficient_funds"),
    ]
    assert mailer.subjects[-1] == "Su pedido de CaaS One se ha cancelado"
    outcome = await try_to_pay(harness, a_payment(order))
    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.ORDER_FORFEITED  # No retry, no grace.


async def test_a_technical_failure_costs_nothing_and_the_customer_may_pay_again(
    harness: Harness, mailer: PlayedMailer
) -> None:
    order = await paying(harness, await ready(harness))  # FIN-5
    first = await charge_of(harness, order)
    await harness.receive(abandoned(first))
    waiting = await order_of(harness, order.order_id)
    assert waiting.status is VehicleOrderStatus.READY
    assert AlertKind.PAYMENT_ABANDONED in [alert.kind for alert in await harness.published(AlertRaised)]
    second = await charge_of(harness, await paying(harness, waiting))
    assert second.payment_id != first.payment_id
    assert second.idempotency_key == f"vehicle-order:{order.order_id}:final:2"
    await harness.receive(confirmed(second))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAID
    await harness.run_effects()
    assert "No hemos podido procesar el pago de su CaaS One" in mailer.subjects


async def test_a_refusal_of_our_own_risk_engine_is_no_decline_of_the_bank(harness: Harness) -> None:
    order = await paying(harness, await ready(harness))  # FIN-5
    await harness.receive(declined(await charge_of(harness, order), "risk_refused"))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.READY


async def test_an_unpaid_order_is_forfeited_at_its_deadline(harness: Harness) -> None:
    order = await ready(harness)  # FIN-6
    await harness.move_clock(POLICY.payment_deadline - timedelta(minutes=1))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.READY
    await harness.move_clock(timedelta(minutes=1, seconds=1))
    lost = await order_of(harness, order.order_id)
    assert (lost.status, lost.reason) == (VehicleOrderStatus.PAYMENT_FAILED, "deadline_missed")
    assert (await vehicle_of(harness)).status is VehicleStatus.AVAILABLE_STOCK


async def test_the_deadline_waits_for_a_payment_that_is_under_way(harness: Harness) -> None:
    order = await paying(harness, await ready(harness))
    await harness.move_clock(POLICY.payment_deadline + timedelta(hours=1))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAYING
    await harness.receive(abandoned(await charge_of(harness, order)))
    again = await order_of(harness, order.order_id)
    assert again.status is VehicleOrderStatus.READY
    assert again.pay_before is not None
    assert again.pay_before > harness.clock.now() + POLICY.retry_grace - timedelta(minutes=1)
    await harness.move_clock(POLICY.retry_grace + timedelta(seconds=1))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAYMENT_FAILED


async def test_the_final_payment_is_refused_when_it_is_not_due(harness: Harness) -> None:
    order = await reserved(harness)
    early = await try_to_pay(harness, a_payment(order))
    await tell(harness, factory_event(order, Arrived(VIN)))
    wrong = await try_to_pay(harness, a_payment(order, offered=TOTAL))
    somebody_else = await try_to_pay(harness, a_payment(order, customer_id="cus-2"))
    refusals = [outcome.code for outcome in (early, wrong, somebody_else) if isinstance(outcome, Refusal)]
    assert refusals == [RefusalCode.ORDER_NOT_READY, RefusalCode.WRONG_AMOUNT, RefusalCode.ORDER_NOT_FOUND]
    assert await charges(harness, PaymentPurpose.FINAL) == []
    await paying(harness, order)
    twice = await try_to_pay(harness, a_payment(order, offered=DUE))
    assert isinstance(twice, Refusal)
    assert twice.code is RefusalCode.PAYMENT_IN_PROGRESS
    await harness.receive(confirmed(await charge_of(harness, order)))
    again = await try_to_pay(harness, a_payment(order))
    assert isinstance(again, Refusal)
    assert again.code is RefusalCode.ORDER_ALREADY_PAID


async def test_a_payment_confirmed_after_the_forfeiture_goes_back_once(harness: Harness) -> None:
    order = await forfeited(harness)
    charge = await charge_of(harness, order)
    await harness.receive(confirmed(charge))
    (refund,) = await harness.published(RefundPayment)
    assert (refund.payment_id, refund.amount) == (charge.payment_id, DUE)
    assert [alert.kind for alert in await harness.published(AlertRaised)] == [AlertKind.LATE_PAYMENT]
    await harness.receive(confirmed(charge))
    assert len({one.refund_id for one in await harness.published(RefundPayment)}) == 1
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAYMENT_FAILED


async def test_money_for_an_older_attempt_or_of_another_amount_goes_back(harness: Harness) -> None:
    order = await paying(harness, await ready(harness))
    first = await charge_of(harness, order)
    await harness.receive(abandoned(first))
    order = await paying(harness, await order_of(harness, order.order_id))
    await harness.receive(confirmed(first))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAYING
    await harness.receive(confirmed(await charge_of(harness, order), RESERVATION))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.READY
    assert [one.amount for one in await harness.published(RefundPayment)] == [DUE, RESERVATION]


async def test_money_for_a_declined_reservation_goes_back(harness: Harness) -> None:
    order = await reserving(harness)
    charge = await charge_of(harness, order)
    await harness.receive(abandoned(charge), confirmed(charge))
    assert [one.amount for one in await harness.published(RefundPayment)] == [RESERVATION]
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.DECLINED


async def test_a_settlement_that_fails_later_cancels_nothing(harness: Harness) -> None:
    order = await reserved(harness)
    await harness.run_effects()
    await harness.receive(unsettled(await charge_of(harness, order)))
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.ORDERED
    assert [alert.kind for alert in await harness.published(AlertRaised)] == [AlertKind.SETTLEMENT_FAILED]


async def test_the_policy_may_forfeit_on_any_failure(
    database_url: str, maintenance: PlayedMaintenance, mailer: PlayedMailer
) -> None:
    policy = SalesPolicy(forfeit_on=ForfeitOn.ANY_FAILURE)  # FIN-5
    async with Harness(orders_service(maintenance, mailer, policy=policy), database_url) as harness:
        order = await paying(harness, await ready(harness))
        await harness.receive(abandoned(await charge_of(harness, order)))
        assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.PAYMENT_FAILED
        assert (await vehicle_of(harness)).status is VehicleStatus.AVAILABLE_STOCK
