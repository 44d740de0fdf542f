"""Takes prices that include VAT apart, in whole minor units: base and VAT add up to the total (INV-3)."""

from dataclasses import dataclass
from typing import Final

_WHOLE_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class TaxedAmount:
    """An amount in minor units of one VAT rate; `rate_bp` is per ten thousand (2100 is 21 %)."""

    rate_bp: int
    base_minor: int
    vat_minor: int

    @property
    def total_minor(self) -> int:
        """What the customer paid: base and VAT."""
        return self.base_minor + self.vat_minor


def split_total(total_minor: int, rate_bp: int) -> TaxedAmount:
    """The base and the VAT inside a total that includes VAT (INV-3).

    The base is `total * 10000 / (10000 + rate)` rounded half to even, the VAT is the rest.
    Raises ValueError when the total or the rate is negative.
    """
    if total_minor < 0 or rate_bp < 0:
        raise ValueError(f"an amount and a VAT rate are at least zero, not {total_minor} and {rate_bp}")
    base_minor = _divided_half_even(total_minor * _WHOLE_BP, _WHOLE_BP + rate_bp)
    return TaxedAmount(rate_bp, base_minor, total_minor - base_minor)


def split_part(before_minor: int, part_minor: int, rate_bp: int) -> TaxedAmount:
    """The base and the VAT of one part of a total, such that all its parts sum to the total's own split (INV-3).

    Parts are the refunds of an invoice (PAY-8), or the reservation and the final payment of a vehicle (RES-5);
    `before_minor` is the sum of the earlier ones. Each part gets the difference of two running totals, so
    rounding leaves no cent behind.
    """
    before = split_total(before_minor, rate_bp)
    after = split_total(before_minor + part_minor, rate_bp)
    return TaxedAmount(rate_bp, after.base_minor - before.base_minor, after.vat_minor - before.vat_minor)


def _divided_half_even(dividend: int, divisor: int) -> int:
    quotient, rest = divmod(dividend, divisor)
    is_past_half = 2 * rest > divisor
    is_half_of_odd = 2 * rest == divisor and quotient % 2 == 1
    return quotient + (1 if is_past_half or is_half_of_odd else 0)
