"""What every payment gateway must do, however it is reached (GW-1 to GW-4, GW-7).

`targets.py` says which target cannot show what, and why; docs/architecture/gateways.md lists the same.
"""

import asyncio

import pytest

from caas_chassis.ids import new_id
from caas_payments.domain.gateway_result import NotFound, Refused, Transaction, TransactionStatus, Unavailable, Unknown
from caas_payments.gateway import GatewayTask
from services.payments.tests.gateway.conftest import NOBODY, Gateways, Partner
from services.payments.tests.gateway.processes import FaultProxy
from services.payments.tests.gateway.targets import PATIENCE_S, Capability, Target, shows
from services.payments.tests.gateway.tasks import PRICE_MINOR, an_authorization_of, answered, declined_as, following


async def held_at(partner: Partner) -> tuple[GatewayTask, Transaction]:
    """A payment whose amount is held."""
    task = an_authorization_of(partner.target.approved)
    return task, answered(await partner.gateway.authorize(task))


async def captured_at(partner: Partner) -> tuple[GatewayTask, Transaction]:
    """A payment whose amount was taken."""
    task, held = await held_at(partner)
    return task, answered(await partner.gateway.capture(following(task, held, "capture:2")))


@shows(Capability.HOLD)
async def test_an_authorization_holds_the_amount(partner: Partner) -> None:
    task, held = await held_at(partner)
    assert (held.status, held.reference) == (TransactionStatus.AUTHORIZED, task.reference)
    assert (held.amount_minor, held.currency, held.captured_minor) == (PRICE_MINOR, "EUR", 0)
    assert held.authorized_at is not None
    assert held.capture_before is not None
    assert held.capture_before > held.authorized_at


@shows(Capability.SAME_KEY)
async def test_the_same_key_twice_has_one_effect(partner: Partner) -> None:
    task, held = await held_at(partner)
    assert answered(await partner.gateway.authorize(task)).id == held.id
    capture = following(task, held, "capture:2")
    first = answered(await partner.gateway.capture(capture))
    assert answered(await partner.gateway.capture(capture)).captured_minor == first.captured_minor
    refund = following(task, held, "refund:3", 500)
    assert answered(await partner.gateway.refund(refund)).refunded_minor == 500
    assert answered(await partner.gateway.refund(refund)).refunded_minor == 500


@shows(Capability.OTHER_AMOUNT)
async def test_the_same_key_with_another_amount_is_not_trusted(partner: Partner) -> None:
    task, _ = await held_at(partner)
    other = task.model_copy(update={"amount_minor": 1})
    assert isinstance(await partner.gateway.authorize(other), Unknown)


@shows(Capability.DECLINE)
async def test_a_decline_is_an_answer_with_its_reason(partner: Partner) -> None:
    task = an_authorization_of(partner.target.declined)
    assert declined_as(await partner.gateway.authorize(task)) == "card_declined"


@shows(Capability.DECLINE)
async def test_a_declined_payment_is_found_as_declined(partner: Partner) -> None:
    task = an_authorization_of(partner.target.declined)
    await partner.gateway.authorize(task)
    assert declined_as(await partner.gateway.look_up(task.reference)) == "card_declined"


@shows(Capability.NO_METHOD)
async def test_an_unknown_payment_method_is_refused(partner: Partner) -> None:
    task = an_authorization_of(partner.target.unknown_method)
    assert declined_as(await partner.gateway.authorize(task)) == "invalid_payment_method"


@shows(Capability.PENDING)
async def test_what_needs_the_customer_is_pending(partner: Partner) -> None:
    pending = answered(await partner.gateway.authorize(an_authorization_of(partner.target.pending)))
    assert pending.status in (TransactionStatus.PENDING, TransactionStatus.REQUIRES_ACTION)


@shows(Capability.ACTION)
@pytest.mark.parametrize("sold", [True, False])
async def test_what_waits_for_the_customer_names_a_page_and_can_be_given_up(partner: Partner, sold: bool) -> None:
    task, begin = (
        an_authorization_of(partner.target.action),
        partner.gateway.sale if sold else partner.gateway.authorize,
    )
    waiting = answered(await begin(task))
    found = answered(await partner.gateway.look_up(task.reference, waiting.id))
    assert (waiting.status, found.action_url) == (TransactionStatus.REQUIRES_ACTION, waiting.action_url)
    assert (waiting.action_url or "").startswith("http")
    given_up = answered(await partner.gateway.void(following(task, waiting, "cancel")))
    assert (given_up.status, given_up.action_url) == (TransactionStatus.VOIDED, None)
    assert await partner.gateway.void(following(task, waiting, "cancel:2")) == Refused("already_voided")


@shows(Capability.CAPTURE)
async def test_a_capture_takes_what_is_held(partner: Partner) -> None:
    task, captured = await captured_at(partner)
    assert (captured.status, captured.captured_minor) == (TransactionStatus.CAPTURED, PRICE_MINOR)
    assert captured.reference == task.reference


@shows(Capability.CAPTURE_ONCE)
async def test_a_second_capture_is_refused(partner: Partner) -> None:
    task, captured = await captured_at(partner)
    assert await partner.gateway.capture(following(task, captured, "capture:3")) == Refused("already_captured")


@shows(Capability.PARTIAL_CAPTURE)
async def test_a_partial_capture_tells_what_was_taken(partner: Partner) -> None:
    task, held = await held_at(partner)
    captured = answered(await partner.gateway.capture(following(task, held, "capture:2", 1500)))
    assert (captured.status, captured.captured_minor) == (TransactionStatus.CAPTURED, 1500)
    assert captured.amount_minor == PRICE_MINOR
    assert captured.refunded_minor == 0


@shows(Capability.VOID)
async def test_a_hold_is_released_once(partner: Partner) -> None:
    task, held = await held_at(partner)
    released = answered(await partner.gateway.void(following(task, held, "void:2")))
    assert released.status is TransactionStatus.VOIDED
    assert await partner.gateway.void(following(task, held, "void:3")) == Refused("already_voided")


@shows(Capability.VOID_TAKEN)
async def test_what_was_taken_is_not_voided(partner: Partner) -> None:
    task, captured = await captured_at(partner)
    assert await partner.gateway.void(following(task, captured, "void:3")) == Refused("already_captured")


@shows(Capability.CAPTURE_RELEASED)
async def test_what_was_released_is_not_captured(partner: Partner) -> None:
    task, held = await held_at(partner)
    await partner.gateway.void(following(task, held, "void:2"))
    assert await partner.gateway.capture(following(task, held, "capture:3")) == Refused("already_voided")


@shows(Capability.REFUND)
async def test_refunds_add_up_to_the_whole(partner: Partner) -> None:
    task, captured = await captured_at(partner)
    first = answered(await partner.gateway.refund(following(task, captured, "refund:3", 500)))
    assert (first.status, first.refunded_minor) == (TransactionStatus.PARTIALLY_REFUNDED, 500)
    second = answered(await partner.gateway.refund(following(task, captured, "refund:4", 250)))
    assert (second.status, second.refunded_minor) == (TransactionStatus.PARTIALLY_REFUNDED, 750)
    rest = answered(await partner.gateway.refund(following(task, captured, "refund:5", PRICE_MINOR - 750)))
    assert (rest.status, rest.refunded_minor) == (TransactionStatus.REFUNDED, PRICE_MINOR)


@shows(Capability.REFUND_LIMIT)
async def test_no_refund_passes_what_was_captured(partner: Partner) -> None:
    task, captured = await captured_at(partner)
    await partner.gateway.refund(following(task, captured, "refund:3", 500))
    too_much = following(task, captured, "refund:4", 1500)
    assert await partner.gateway.refund(too_much) == Refused("amount_too_large")
    assert answered(await partner.gateway.look_up(task.reference, captured.id)).refunded_minor == 500


@shows(Capability.FOUND)
async def test_a_look_up_finds_what_happened(partner: Partner) -> None:
    task, held = await held_at(partner)
    by_reference = answered(await partner.gateway.look_up(task.reference))
    assert (by_reference.id, by_reference.status) == (held.id, TransactionStatus.AUTHORIZED)
    await partner.gateway.capture(following(task, held, "capture:2"))
    await partner.gateway.refund(following(task, held, "refund:3", 500))
    for known in ("", held.id):
        found = answered(await partner.gateway.look_up(task.reference, known))
        assert (found.captured_minor, found.refunded_minor) == (PRICE_MINOR, 500)


@shows(Capability.NOTHING)
async def test_a_look_up_of_nothing_finds_nothing(partner: Partner) -> None:
    assert await partner.gateway.look_up(str(new_id())) == NotFound()


@shows(Capability.MANY)
async def test_twenty_payments_at_once_stay_apart(partner: Partner) -> None:
    async def pay() -> tuple[str, Transaction]:
        task, captured = await captured_at(partner)
        return task.reference, captured

    paid = await asyncio.gather(*(pay() for _ in range(20)))
    assert len({captured.id for _, captured in paid}) == 20
    for reference, captured in paid:
        assert (captured.reference, captured.captured_minor) == (reference, PRICE_MINOR)


@shows(Capability.KEY)
async def test_a_key_that_is_not_accepted_charges_nothing(target: Target, gateways: Gateways) -> None:
    stranger = target.gateway_at(gateways.url(target), key="wrong")
    assert await stranger.authorize(an_authorization_of(target.approved)) == Unavailable("unauthorized")
    await stranger.close()


@shows(Capability.FAULTS)
async def test_nobody_listening_means_that_nothing_was_sent(target: Target) -> None:
    gateway = target.gateway_at(NOBODY)
    assert await gateway.authorize(an_authorization_of(target.approved)) == Unavailable("ConnectError")
    assert await gateway.look_up(str(new_id())) == Unavailable("ConnectError")
    await gateway.close()


@shows(Capability.FAULTS)
async def test_too_many_requests_are_certain_and_carry_their_pause(target: Target, proxy: FaultProxy) -> None:
    gateway = target.gateway_at(proxy.url)
    proxy.fault("429", times=2)
    assert await gateway.authorize(an_authorization_of(target.approved)) == Unavailable("too_many_requests", 7)
    assert await gateway.look_up(str(new_id())) == Unavailable("too_many_requests", 7)
    await gateway.close()


FAULTS = ("500_before", "500_after", "503_before", "garbage_after", "half_after", "reset_before", "reset_after")
SILENCES = ("silence_before", "silence_after")


def patience_with(kind: str) -> float:
    """Seconds: only a silence is not worth waiting for."""
    return 1.5 if kind in SILENCES else PATIENCE_S


@shows(Capability.FAULTS, *FAULTS, *SILENCES)
async def test_what_may_have_happened_is_unknown(target: Target, proxy: FaultProxy, kind: str) -> None:
    gateway = target.gateway_at(proxy.url, timeout_s=patience_with(kind))
    proxy.fault(kind)
    is_outage = not kind.startswith("garbage")
    unknown = await gateway.authorize(an_authorization_of(target.approved))
    assert isinstance(unknown, Unknown)
    assert unknown.outage == is_outage
    proxy.fault(kind)
    unknown = await gateway.look_up(str(new_id()))
    assert isinstance(unknown, Unknown)
    assert unknown.outage == is_outage
    await gateway.close()


@shows(Capability.ONE_EFFECT, *FAULTS, *SILENCES)
async def test_a_repetition_under_the_same_key_has_one_effect(
    target: Target, partner: Partner, proxy: FaultProxy, kind: str
) -> None:
    disturbed = target.gateway_at(proxy.url, timeout_s=patience_with(kind))
    task = an_authorization_of(target.approved)
    proxy.fault(kind)
    assert isinstance(await disturbed.authorize(task), Unknown)
    held = answered(await partner.gateway.authorize(task))
    capture = following(task, held, "capture:2")
    proxy.fault(kind)
    assert isinstance(await disturbed.capture(capture), Unknown)
    assert answered(await partner.gateway.capture(capture)).captured_minor == PRICE_MINOR
    refund = following(task, held, "refund:3", 500)
    proxy.fault(kind)
    assert isinstance(await disturbed.refund(refund), Unknown)
    assert answered(await partner.gateway.refund(refund)).refunded_minor == 500
    assert answered(await partner.gateway.look_up(task.reference)).refunded_minor == 500
    await disturbed.close()


@shows(Capability.SALE)
async def test_a_sale_takes_the_amount_in_one_step(partner: Partner) -> None:
    task = an_authorization_of(partner.target.approved)
    sold = answered(await partner.gateway.sale(task))
    assert (sold.status, sold.captured_minor, sold.reference) == (
        TransactionStatus.CAPTURED,
        PRICE_MINOR,
        task.reference,
    )
    found = answered(await partner.gateway.look_up(task.reference))
    assert (found.id, found.captured_minor) == (sold.id, PRICE_MINOR)
    assert await partner.gateway.capture(following(task, sold, "capture:2")) == Refused("already_captured")
    assert await partner.gateway.void(following(task, sold, "void:3")) == Refused("already_captured")
    refunded = answered(await partner.gateway.refund(following(task, sold, "refund:4")))
    assert (refunded.status, refunded.refunded_minor) == (TransactionStatus.REFUNDED, PRICE_MINOR)


@shows(Capability.SALE)
async def test_a_declined_sale_takes_nothing(partner: Partner) -> None:
    task = an_authorization_of(partner.target.declined)
    assert declined_as(await partner.gateway.sale(task)) == "card_declined"


@shows(Capability.SAME_KEY)
async def test_the_same_key_twice_sells_once(partner: Partner) -> None:
    task = an_authorization_of(partner.target.approved)
    sold = answered(await partner.gateway.sale(task))
    assert answered(await partner.gateway.sale(task)) == sold


@shows(Capability.PENDING)
async def test_a_sale_that_needs_the_customer_is_pending(partner: Partner) -> None:
    pending = answered(await partner.gateway.sale(an_authorization_of(partner.target.pending)))
    assert pending.status is TransactionStatus.PENDING
