"""Every service is killed (SIGKILL) at every one of its crash points, while services are being sold.

The list of points comes from the code. What the customers' cars and the gateway have in their own books
afterwards must agree with ours: nothing charged without activation, nothing lost, nothing twice.
"""

from pathlib import Path

import pytest

from caas_chassis.testing.nursery import Nursery
from caas_local.layout import SUPPLIERS, Layout
from tests.chaos.points import build_services, points_of
from tests.chaos.storm import Storm

# What no sale of the storm leads to, and why; the same code of the chassis dies in its own tests.
NOT_IN_A_SALE = {
    "CapturePayment": "is the word of a person, about a success that payments did not capture by itself",
    "OrphanSaleFound": "needs a gateway that charges after it has said for a minute that it did not",
    "PaymentAbandoned": "needs the gateway away for all retries, which would fail every other sale too",
    "hold-deadline": "fires only when ota has said nothing for six days",
    "deactivation": "needs a car that refuses to give a service up through all retries",
    "DeactivationDelayed": "says that a car refused to give a service up through all retries",
    "RefundDelayed": "needs a gateway that refuses to pay back",
    "FailSettlement": "is the word of a person: money that will not come, which no book of the storm may lack",
    "withdrawal-refund": "fires when a withdrawal's refund was refused for ten minutes",
    "ChargePlannedService": "nothing is planned in the storm: the search over whole lives kills services while it is",
    "planned-activation": "as ChargePlannedService",
    "renewal": "needs a month to pass, in which every vehicle order would be forfeited: killed in the same search",
    "ChargeRenewal": "as renewal",
    "PurchaseRenewed": "as renewal",
    "unknown-vehicle": "needs a car that orders knows and ota does not",
}


def _is_reached_by_sales(point: str) -> bool:
    return point.partition(":")[2] not in NOT_IN_A_SALE


@pytest.mark.timeout(1500)
async def test_killed_at_every_crash_point_everything_continues_and_the_books_agree(tmp_path: Path) -> None:
    services = build_services(Layout.of(tmp_path / "names", fixed_ports=False))
    wanted = {
        name: [point for point in points_of(name, service) if _is_reached_by_sales(point)]
        for name, service in services.items()
    }
    with Nursery(tmp_path, [f"caas_{name}.app" for name in services]) as nursery:
        storm = Storm(tmp_path / "platform", wanted, nursery.launch)
        try:
            report = await storm.rage()
        finally:
            await storm.platform.stop()
    died = storm.died_at()
    print(f"{sum(map(len, died.values()))} deaths, {len(storm.sold)} purchases, {report.duration_s:.0f} s")
    assert {name: points for name, points in storm.missing().items() if points} == {}
    assert storm.doubles == dict.fromkeys(SUPPLIERS, 1)
    months = storm.months
    assert (months.billed_twice, months.charged_twice, months.disagreeing) == (0, 0, 0)
    assert months.invoiced_minor == months.expected_minor > 0
    assert [words for words in report.broken if "only" not in words] == []
