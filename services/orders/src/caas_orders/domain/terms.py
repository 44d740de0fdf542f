"""What one vehicle is and costs: its model, options, dealership and price, fixed when it is ordered."""

from dataclasses import dataclass

from caas_contracts.money import Money


@dataclass(frozen=True, slots=True)
class Terms:
    """The amounts include VAT at `vat_rate_bp` (2100 is 21 %); `reservation` is part of `total` (RES-5)."""

    model: str
    options: tuple[str, ...]
    dealership: str
    total: Money
    reservation: Money
    vat_rate_bp: int
    catalogue_version: int

    @property
    def due(self) -> Money:
        """The final payment: total less reservation (FIN-1)."""
        return self.total - self.reservation
