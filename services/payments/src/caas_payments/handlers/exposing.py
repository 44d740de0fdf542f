"""Open exposure (RSK-3) as gauges, measured now and then: a scrape costs no query."""

from typing import Final

from prometheus_client import Gauge

from caas_chassis.cause import Cause
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_payments.store.exposure import Exposure, read_exposure

_amount: Final = Gauge(
    "caas_payments_exposure_minor",
    "Delivered and not settled, in minor units, by currency and time since delivery",
    ["currency", "age"],
)
_payments: Final = Gauge("caas_payments_exposed_payments", "Payments delivered and not settled", ["currency"])


class ExposureGauges(PeriodicLoop):
    """Measures the open exposure once in `every_s`, by an index that holds only what is exposed."""

    name = "exposure"

    def __init__(self, every_s: float, transaction: OpenTransaction) -> None:
        super().__init__(idle_s=every_s)
        self._transaction = transaction
        self._known: set[str] = set()

    async def run_once(self) -> bool:
        async with self._transaction(Cause.of_person("payments"), ("exposure",)) as tx:
            tx.eventful = False
            exposed = await read_exposure(tx)
        self._show(exposed)
        return False

    def _show(self, exposed: list[Exposure]) -> None:
        """Currencies in which nothing is exposed any more show nothing, not what they showed last."""
        for currency in self._known - {one.currency for one in exposed}:
            _amount.remove_by_labels({"currency": currency})
            _payments.remove(currency)
        self._known = {one.currency for one in exposed}
        for one in exposed:
            _payments.labels(one.currency).set(one.payments)
            for age, amount_minor in one.by_age_minor.items():
                _amount.labels(one.currency, age).set(amount_minor)
