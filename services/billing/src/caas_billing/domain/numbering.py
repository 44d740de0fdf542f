"""Numbers of documents: consecutive per series and year, the year being the one in Madrid (INV-2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

BILLING_TIME_ZONE: Final = ZoneInfo("Europe/Madrid")


class Series(StrEnum):
    """The series of numbers; each starts again at 1 every year."""

    SERVICE = "S"
    """Invoices of one-time services."""
    RESERVATION = "A"
    """Invoices of vehicle reservations (anticipos)."""
    VEHICLE = "V"
    """Final invoices of vehicles."""
    SUBSCRIPTION = "M"
    """Invoices of monthly services (mes vencido)."""
    CREDIT_NOTE = "R"
    """Credit notes (facturas rectificativas)."""


@dataclass(frozen=True, slots=True)
class DocumentNumber:
    """One number, written `S-2026-000001`."""

    series: Series
    year: int
    position: int

    def __str__(self) -> str:
        return f"{self.series}-{self.year}-{self.position:06d}"


@dataclass(frozen=True, slots=True)
class NumberBlock:
    """Consecutive numbers taken for the documents of one transaction, and the instant those are issued at.

    The instant never lies before that of an earlier number of the series: numbers and dates rise together.
    """

    series: Series
    year: int
    first: int
    count: int
    issued_at: datetime

    def __iter__(self) -> Iterator[DocumentNumber]:
        return (DocumentNumber(self.series, self.year, self.first + offset) for offset in range(self.count))


def billing_date(instant: datetime) -> date:
    """The calendar day of an aware instant in the billing time zone."""
    return instant.astimezone(BILLING_TIME_ZONE).date()


def billing_year(instant: datetime) -> int:
    """The year whose series a document issued at this aware instant belongs to (INV-2)."""
    return billing_date(instant).year
