"""Facts about a vehicle order and its payments for billing's tests; every argument has a sensible default."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from caas_contracts import Message, Money
from caas_contracts.payments import OrphanSaleFound, PaymentConfirmed, PaymentPurpose, PaymentRefunded
from caas_contracts.vehicle_orders import (
    VehicleOrderPaid,
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleRegisteredForTraffic,
)
from services.billing.tests.builders import AN_INSTANT, euros


@dataclass(frozen=True, kw_only=True)
class AnOrder:
    """The story of one vehicle order, told fact by fact."""

    total_minor: int = 3_149_000
    reservation_minor: int = 100_000
    customer_id: str = "customer-1"
    language: str = "es"
    order_id: UUID = field(default_factory=uuid4)
    reservation_payment_id: UUID = field(default_factory=uuid4)
    final_payment_id: UUID = field(default_factory=uuid4)

    def placed(self, **changes: Any) -> VehicleOrderPlaced:
        """The order as the customer placed it."""
        values: dict[str, Any] = {
            "model_name": "CaaS One",
            "options": ["seat-heating", "tow-bar"],
            "dealership": "madrid-norte",
            "total": euros(self.total_minor),
            "reservation": euros(self.reservation_minor),
            "vat_rate_bp": 2100,
            "reservation_payment_id": self.reservation_payment_id,
            "customer_name": "María Núñez",
            "customer_email": "maria@example.org",
            "customer_tax_id": "12345678Z",
            "customer_language": self.language,
        }
        return VehicleOrderPlaced(**self._order() | values | changes)

    def reserved(self) -> VehicleOrderReserved:
        """The reservation counts."""
        return VehicleOrderReserved(
            **self._order(), payment_id=self.reservation_payment_id, reservation=euros(self.reservation_minor)
        )

    def paid(self) -> VehicleOrderPaid:
        """The final payment counts."""
        return VehicleOrderPaid(
            **self._order(),
            vin="WCAAS0NE5T0000001",
            payment_id=self.final_payment_id,
            amount=euros(self.total_minor - self.reservation_minor),
            reservation=euros(self.reservation_minor),
            total=euros(self.total_minor),
        )

    def registered(self) -> VehicleRegisteredForTraffic:
        """The vehicle has its plates."""
        return VehicleRegisteredForTraffic(**self._order(), vin="WCAAS0NE5T0000001", plates="1234 BCD")

    def reservation_confirmed(self, **changes: Any) -> PaymentConfirmed:
        """Payments took the reservation."""
        amount = euros(self.reservation_minor)
        values = self._payment(PaymentPurpose.RESERVATION, self.reservation_payment_id, amount)
        return PaymentConfirmed(**{**values, "gateway_transaction_id": "tx_1"} | changes)

    def orphan_found(self) -> OrphanSaleFound:
        """The gateway had taken the reservation of an order that ended without it."""
        amount = euros(self.reservation_minor)
        values = self._payment(PaymentPurpose.RESERVATION, self.reservation_payment_id, amount)
        return OrphanSaleFound(**values, gateway_transaction_id="tx_1", taken=amount)

    def final_confirmed(self, **changes: Any) -> PaymentConfirmed:
        """Payments took the rest of the price."""
        amount = euros(self.total_minor - self.reservation_minor)
        values = self._payment(PaymentPurpose.FINAL, self.final_payment_id, amount)
        return PaymentConfirmed(**{**values, "gateway_transaction_id": "tx_2"} | changes)

    def refunded(self, purpose: PaymentPurpose, refunded_minor: int) -> PaymentRefunded:
        """Money of one of its payments went back."""
        payment_id = self.final_payment_id if purpose is PaymentPurpose.FINAL else self.reservation_payment_id
        return PaymentRefunded(
            **self._payment(purpose, payment_id, euros(refunded_minor)),
            refund_id=uuid4(),
            refunded=euros(refunded_minor),
            refunded_total=euros(refunded_minor),
            reason="goodwill",
        )

    def reservation_story(self) -> list[Message]:
        """All that its reservation's invoice needs."""
        return [self.placed(), self.reservation_confirmed(), self.reserved()]

    def whole_story(self) -> list[Message]:
        """All that both its invoices need."""
        return [*self.reservation_story(), self.final_confirmed(), self.paid(), self.registered()]

    def _order(self) -> dict[str, Any]:
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "model": "caas-one",
            "occurred_at": AN_INSTANT,
        }

    def _payment(self, purpose: PaymentPurpose, payment_id: UUID, amount: Money) -> dict[str, Any]:
        return {
            "payment_id": payment_id,
            "purpose": purpose,
            "customer_id": self.customer_id,
            "subject_id": self.order_id,
            "amount": amount,
            "occurred_at": AN_INSTANT + timedelta(seconds=1),
        }
