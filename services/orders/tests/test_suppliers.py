"""Factory, administration and transport against the sandbox's processes: nothing is lost, nothing is done twice."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from caas_chassis.clock import write_offset
from caas_chassis.ids import new_id
from caas_orders.gateway.connecting import connect
from caas_orders.gateway.supply import (
    FactoryAccepted,
    FactoryOrder,
    Refused,
    RegistrationGranted,
    RegistrationPending,
    RegistrationRejected,
    RegistrationRequest,
    Suppliers,
    TransportBooked,
    TransportBooking,
    TransportDelivered,
    Unanswered,
)
from caas_orders.settings import OrdersSettings
from services.orders.tests.partners import partner, unused_port

KEY = "supplier-key"
ARGUMENTS = ("--api-key", KEY, "--hang-s", "0.1")
NAMES = ("factory", "registration", "transport")
RACERS = 12

type Processes = dict[str, httpx.Client]


@pytest.fixture(scope="module")
def clock_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clock") / "clock.json"


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, clock_file: Path) -> Iterator[Processes]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CAAS_CLOCK_FILE", str(clock_file))
        folder = tmp_path_factory.mktemp("suppliers")
        with (
            partner("factory", folder, *ARGUMENTS) as factory,
            partner("registration", folder, *ARGUMENTS) as registration,
            partner("transport", folder, *ARGUMENTS) as transport,
        ):
            yield {"factory": factory, "registration": registration, "transport": transport}


@pytest.fixture(autouse=True)
def _no_faults_left(processes: Processes) -> Iterator[None]:
    yield
    for process in processes.values():
        process.delete("/sandbox/faults").raise_for_status()


def connected(urls: dict[str, str], key: str = KEY) -> Suppliers:
    settings = OrdersSettings(
        database_url="postgresql://unused",
        vss_url="http://unused",
        vss_api_key=SecretStr(""),
        factory_url=urls["factory"],
        factory_api_key=SecretStr(key),
        registration_url=urls["registration"],
        registration_api_key=SecretStr(key),
        transport_url=urls["transport"],
        transport_api_key=SecretStr(key),
        partner_timeout_s=2.0,
    )
    suppliers = connect(settings)
    assert suppliers is not None
    return suppliers


@pytest.fixture
async def suppliers(processes: Processes) -> Suppliers:
    return connected({name: str(process.base_url) for name, process in processes.items()})


def an_order(order_id: UUID | None = None) -> FactoryOrder:
    return FactoryOrder(order_id=order_id or new_id(), model="caas-one", options=["tow-bar"], dealership="madrid")


def an_application(submission: int = 1, order_id: UUID | None = None, vin: str = "") -> RegistrationRequest:
    return RegistrationRequest(
        order_id=order_id or new_id(),
        submission=submission,
        vin=vin or a_vin(),
        model="caas-one",
        customer_name="Ada Example",
        customer_tax_id="12345678Z",
    )


def a_booking() -> TransportBooking:
    return TransportBooking(
        order_id=new_id(), vin=a_vin(), plates="0001 MNB", dealership="madrid", customer_name="Ada Example"
    )


def a_vin() -> str:
    return f"VSC{new_id().int % 10**14:014d}"


def script(process: httpx.Client, **fault: object) -> None:
    process.post("/sandbox/faults", json=fault).raise_for_status()


def placed(process: httpx.Client, collection: str, reference: str) -> int:
    """How often the partner has it in its books."""
    listed = process.get(f"/{collection}", params={"reference": reference}, headers={"authorization": f"Bearer {KEY}"})
    return len(listed.raise_for_status().json()[collection])


def advance(process: httpx.Client, reference: str) -> None:
    process.post("/sandbox/advance", params={"reference": reference}).raise_for_status()


async def test_the_same_order_asked_again_is_one_order(processes: Processes, suppliers: Suppliers) -> None:
    order = an_order()
    first, again = await suppliers.factory.order(order), await suppliers.factory.order(order)
    assert isinstance(first, FactoryAccepted)
    assert first.estimated_delivery_on is not None
    assert first == again
    assert placed(processes["factory"], "orders", str(order.order_id)) == 1


async def test_calls_at_the_same_instant_are_one_order(processes: Processes, suppliers: Suppliers) -> None:
    order = an_order()
    answers = await asyncio.gather(*(suppliers.factory.order(order) for _ in range(RACERS)))
    assert len(set(answers)) == 1
    assert placed(processes["factory"], "orders", str(order.order_id)) == 1


@pytest.mark.parametrize(
    ("kind", "acted"),
    [
        ("timeout_after", 1),
        ("500_after", 1),
        ("garbage", 1),
        ("half", 1),
        ("timeout_before", 0),
        ("503", 0),
        ("429", 0),
        ("outage", 0),
    ],
)
async def test_a_lost_answer_is_found_by_asking_again(
    processes: Processes, suppliers: Suppliers, kind: str, acted: int
) -> None:
    factory, order = processes["factory"], an_order()
    script(factory, kind=kind, operation="place", reference=str(order.order_id))
    assert isinstance(await suppliers.factory.order(order), Unanswered)
    assert placed(factory, "orders", str(order.order_id)) == acted
    factory.delete("/sandbox/faults")
    assert isinstance(await suppliers.factory.order(order), FactoryAccepted)
    assert placed(factory, "orders", str(order.order_id)) == 1


async def test_an_order_is_found_when_the_factory_has_forgotten_the_key(
    processes: Processes, suppliers: Suppliers, clock_file: Path
) -> None:
    factory, order = processes["factory"], an_order()
    script(factory, kind="timeout_after", operation="place", reference=str(order.order_id))
    assert isinstance(await suppliers.factory.order(order), Unanswered)
    write_offset(clock_file, timedelta(hours=30))
    assert isinstance(await suppliers.factory.order(order), FactoryAccepted)
    assert placed(factory, "orders", str(order.order_id)) == 1


@pytest.mark.parametrize("kind", ["503", "garbage", "half", "timeout_after", "not_found"])
async def test_nothing_is_ordered_while_the_look_up_fails(
    processes: Processes, suppliers: Suppliers, kind: str
) -> None:
    factory, order = processes["factory"], an_order()
    script(factory, kind=kind, operation="lookup", reference=str(order.order_id))
    assert isinstance(await suppliers.factory.order(order), Unanswered)
    assert placed(factory, "orders", str(order.order_id)) == 0


async def test_a_refusal_has_its_reason_and_is_asked_anew(processes: Processes, suppliers: Suppliers) -> None:
    order = an_order()
    script(processes["factory"], kind="rejection", operation="place", reason="model_discontinued")
    assert await suppliers.factory.order(order) == Refused("model_discontinued")
    assert isinstance(await suppliers.factory.order(order), FactoryAccepted)


async def test_a_wrong_key_and_a_dead_partner_refuse_nothing_for_good(processes: Processes) -> None:
    urls = {name: str(process.base_url) for name, process in processes.items()}
    assert await connected(urls, key="other").factory.order(an_order()) == Unanswered("http_401")
    dead = connected(dict.fromkeys(NAMES, f"http://127.0.0.1:{unused_port()}"))
    assert await dead.factory.order(an_order()) == Unanswered("unreachable")
    assert await dead.registration.register(an_application()) == Unanswered("unreachable")
    assert await dead.transport.book(a_booking()) == Unanswered("unreachable")


async def test_an_application_is_pending_until_it_is_granted(processes: Processes, suppliers: Suppliers) -> None:
    administration, application = processes["registration"], an_application()
    pending = await suppliers.registration.register(application)
    assert isinstance(pending, RegistrationPending)
    advance(administration, application.reference)
    granted = await suppliers.registration.register(application)
    assert isinstance(granted, RegistrationGranted)
    assert granted.registration_id == pending.registration_id
    assert placed(administration, "registrations", application.reference) == 1


async def test_a_rejected_application_is_followed_by_a_corrected_one(
    processes: Processes, suppliers: Suppliers
) -> None:
    administration, application = processes["registration"], an_application()
    script(administration, kind="rejection", operation="step", reference=application.reference, reason="tax_id_unknown")
    await suppliers.registration.register(application)
    advance(administration, application.reference)
    rejected = await suppliers.registration.register(application)
    assert isinstance(rejected, RegistrationRejected)
    assert rejected.reason == "tax_id_unknown"
    corrected = an_application(2, application.order_id, application.vin)
    assert isinstance(await suppliers.registration.register(corrected), RegistrationPending)
    advance(administration, corrected.reference)
    assert isinstance(await suppliers.registration.register(corrected), RegistrationGranted)


async def test_a_vehicle_is_not_registered_for_two(suppliers: Suppliers) -> None:
    application = an_application()
    await suppliers.registration.register(application)
    assert await suppliers.registration.register(an_application(vin=application.vin)) == Refused("already_known")


async def test_a_booking_stands_until_it_is_delivered(processes: Processes, suppliers: Suppliers) -> None:
    transport, booking = processes["transport"], a_booking()
    script(transport, kind="timeout_after", operation="place", reference=str(booking.order_id))
    assert isinstance(await suppliers.transport.book(booking), Unanswered)
    booked = await suppliers.transport.book(booking)
    assert isinstance(booked, TransportBooked)
    advance(transport, str(booking.order_id))
    delivered = await suppliers.transport.book(booking)
    assert isinstance(delivered, TransportDelivered)
    assert delivered.booking_id == booked.booking_id
    assert placed(transport, "deliveries", str(booking.order_id)) == 1


def test_some_partners_without_the_others_are_a_mistake() -> None:
    settings = OrdersSettings(
        database_url="postgresql://unused", vss_url="http://x", vss_api_key=SecretStr(""), factory_url="http://x"
    )
    with pytest.raises(ValueError, match="go together"):
        connect(settings)
