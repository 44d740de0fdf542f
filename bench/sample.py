"""Messages of a realistic size for the measures that need no business: a captured payment, an activation."""

from datetime import datetime, timedelta

from caas_chassis.ids import new_id
from caas_contracts import Money
from caas_contracts.ota import ActivateService
from caas_contracts.payments import PaymentCaptured, PaymentPurpose


def a_capture(at: datetime) -> PaymentCaptured:
    """What payments publishes most: 600 bytes of JSON."""
    price = Money(amount_minor=4_900, currency="EUR")
    return PaymentCaptured(
        payment_id=new_id(),
        purpose=PaymentPurpose.SERVICE,
        customer_id="C-1001",
        subject_id=new_id(),
        amount=price,
        occurred_at=at,
        captured=price,
        activation_id=new_id(),
        proof_id=new_id(),
        activated_at=at,
        gateway_transaction_id="txn_0001",
        vehicle_id="V-1001",
        service_code="heated-seats",
    )


def an_activation(at: datetime, number: int) -> ActivateService:
    """What orders asks of ota, for vehicle `number`."""
    return ActivateService(
        activation_id=new_id(),
        purchase_id=new_id(),
        payment_id=new_id(),
        vehicle_id=f"V-{number}",
        service_code="heated-seats",
        configuration={"seat.heating": True},
        not_after=at + timedelta(hours=1),
        requested_at=at,
    )
