"""The packaged catalogue makes sense, and every letter about every service can be written (SVC-1, NOT-1)."""

import pytest
from pydantic import TypeAdapter

from caas_contracts.message import Code
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind
from caas_orders.domain.catalogue import catalogue_from, current_catalogue
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Language
from caas_orders.gateway.letters import amount, compose
from services.orders.tests.builders import NOW, a_vehicle

FACTS = {
    "name": "Ana",
    "service": "Sonido prémium",
    "vehicle": "veh-1",
    "purchase": "0199",
    "price": "8,99 €",
    "reason": "maintenance_overdue",
    "charged": True,
    "activated_at": "22/11/2026 10:00",
    "ends_at": "",
    "number": "S-2026-000001",
    "document": "/invoices/1/document",
    "is_subscription": False,
    "plan": "0,015 € por km",
    "period": "10/2026",
    "amount": "14,85 €",
    "outstanding": "14,85 €",
    "next_attempt_on": "04/11/2026",
    "link": "https://pay.example/confirmations#token",
    "expires_at": "05/11/2026 09:00",
    "is_refunded": False,
    "withdrawal": "0200",
    "declared_at": "22/11/2026 10:00:00 (CET, UTC+01:00)",
    "confirmed_at": "22/11/2026 10:01:00 (CET, UTC+01:00)",
    "refund": "8,99 €",
    "objection": "withdrawal_period_over",
    "reported_at": "22/11/2026 09:30:00 (CET, UTC+01:00)",
    "report": "0201",
    "starts_at": "01/12/2026 00:00",
    "period_months": 1,
    "period_from": "01/12/2026 00:00",
    "period_to": "01/01/2027 00:00",
    "stopped": "payment_failed",
    "cancelled_at": "08/11/2026 05:00",
}


def test_the_packaged_catalogue_can_be_sold() -> None:
    catalogue = current_catalogue()
    assert len(catalogue.offers) >= 8
    assert any(offer.maintenance_required for offer in catalogue.offers.values())
    for offer in catalogue.offers.values():
        codes = [offer.code, *offer.models, *offer.equipment, *offer.configuration]
        TypeAdapter(list[Code]).validate_python(codes)
        prices = [*offer.temporary.values(), *([offer.permanent] if offer.permanent else [])]
        assert prices, offer.code
        assert all(price.amount_minor > 0 for price in prices), offer.code
        assert offer.configuration, offer.code
        in_order = [offer.temporary[days].amount_minor for days in sorted(offer.temporary)]
        assert in_order == sorted(in_order), f"{offer.code}: longer is not cheaper"


def test_a_service_off_the_shelf_keeps_its_configuration_but_is_not_sold() -> None:
    data = {
        "version": 2,
        "currency": "EUR",
        "vat_rate_bp": 2100,
        "services": [
            {
                "code": "old",
                "name": {"es": "Viejo", "en": "Old"},
                "models": ["caas-one"],
                "equipment": [],
                "maintenance_required": False,
                "price_minor": {"1": 100},
                "configuration": {"old": True},
                "on_sale": False,
            }
        ],
    }
    catalogue = catalogue_from(data)
    refusal = catalogue.offer_for("old", a_vehicle())
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.SERVICE_UNKNOWN
    assert catalogue.offers_for(a_vehicle()) == []
    assert catalogue.offers["old"].configuration == {"old": True}
    data["services"] = [data["services"][0], data["services"][0]] if isinstance(data["services"], list) else []
    with pytest.raises(ValueError, match="twice"):
        catalogue_from(data)


def test_the_price_is_that_of_the_duration() -> None:
    offer = current_catalogue().offers["premium-audio"]
    assert offer.price(PurchaseKind.TEMPORARY, 30, NOW) == Money(amount_minor=899, currency="EUR")
    assert offer.price(PurchaseKind.PERMANENT, None, NOW) == Money(amount_minor=14900, currency="EUR")
    missing = offer.price(PurchaseKind.TEMPORARY, None, NOW)
    assert isinstance(missing, Refusal)
    assert "1, 30" in missing.detail


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_outcome_has_a_letter_in_every_language(kind: NoticeKind, language: Language) -> None:
    letter = compose(kind, language, FACTS)
    is_about_vehicle = kind is NoticeKind.VEHICLE_STOLEN
    assert ("veh-1" if is_about_vehicle else "Sonido prémium") in letter.subject
    assert "\n" not in letter.subject
    assert letter.text.startswith("Hola" if language is Language.SPANISH else "Hello")
    assert ("0201" if is_about_vehicle else "0199") in letter.text
    assert "{" not in letter.text


def test_amounts_are_written_as_the_language_does() -> None:
    money = Money(amount_minor=123450, currency="EUR")
    assert amount(money, Language.SPANISH) == "1.234,50 €"
    assert amount(money, Language.ENGLISH) == "€1,234.50"
    assert amount(Money(amount_minor=5, currency="USD"), Language.ENGLISH) == "USD 0.05"
