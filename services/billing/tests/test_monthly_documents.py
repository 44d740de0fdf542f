"""PDFs of monthly invoices: what is billed, how it was reckoned, and on which days it was used (SUB-4)."""

import io
from datetime import date
from decimal import Decimal

import pytest
from pypdf import PdfReader

from caas_billing.domain.document import Document
from caas_billing.domain.monthly import DayRange, day_ranges
from caas_billing.gateway.typesetting import TypesetDocument
from caas_contracts.subscriptions import RatePlanKind
from services.billing.tests.builders import a_customer, a_typesetter
from services.billing.tests.monthly_builders import (
    OCTOBER,
    a_flat_line,
    a_monthly_document,
    a_subscription,
    a_usage_line,
    days_of_october,
    tiered_lines,
)
from services.billing.tests.test_documents import is_pdf_a_2b, words_in, words_of

SEPTEMBER = date(2026, 9, 1)


def assert_says(document: Document, *expected: str) -> None:
    words = words_of(document)
    for phrase in expected:
        assert phrase in words, (phrase, words)


def test_a_spanish_monthly_invoice_says_what_is_billed_and_how_it_is_paid() -> None:
    document = a_monthly_document()
    assert_says(
        document,
        "Factura",
        "M-2026-000042",
        "Fecha de expedición 1 de noviembre de 2026",
        "Periodo octubre de 2026",
        "Vencimiento 8 de noviembre de 2026",
        f"Suscripción {document.subject_id}",
        "Asistente de carril",
        "Servicio lane-keeping",
        "Vehículo WVWZZZ1JZXW000001",
        "3,49 €",
        "IVA 21 %",
        "0,73 €",
        "4,22 €",
        "Forma de pago: cargo en su medio de pago, con vencimiento el 8 de noviembre de 2026.",
        "Detalle del mes",
        "Precios con IVA incluido",
        "Uso de octubre de 2026 120,5 km 0,035 €/km 4,22 €",
        "1-4, 7, 12-31 de octubre de 2026",
        "Página 1 de 1",
    )
    # The payment may be another attempt's in the end (PAY-3).
    assert str(document.payment_id) not in words_of(document)


def test_an_english_monthly_invoice_is_in_english() -> None:
    assert_says(
        a_monthly_document(customer=a_customer(language="en")),
        "Invoice",
        "Period October 2026",
        "Due date 8 November 2026",
        "Method of payment: charged to your payment method, due on 8 November 2026.",
        "Use of October 2026 120.5 km €0.035/km €4.22",
        "1–4, 7, 12–31 October 2026",
        "Page 1 of 1",
    )


def test_steps_of_a_tiered_plan_have_a_line_each() -> None:
    words = (
        "Uso de octubre de 2026 Hasta 500 km 500 km 0,025 €/km 12,50 €",
        "De 500 km a 1.500 km 1.000 km 0,0125 €/km 12,50 €",
        "Más de 1.500 km 242,3 km 0,00125 €/km 0,30 €",
        "Total con IVA 25,30 €",
    )
    assert_says(a_monthly_document(a_subscription(lines=tiered_lines())), *words)


def test_late_usage_is_named_with_its_month() -> None:
    late = a_usage_line(used_in=SEPTEMBER, first_day=SEPTEMBER, quantity=Decimal(12), total_minor=42)
    sold = a_subscription(lines=(a_usage_line(), late), usage_days=(date(2026, 9, 30), *days_of_october(1, 2)))
    assert_says(
        a_monthly_document(sold),
        "Uso de septiembre de 2026, comunicado con retraso 12 km 0,035 €/km 0,42 €",
        "30 de septiembre de 2026 1-2 de octubre de 2026",
    )
    english = a_monthly_document(sold, customer=a_customer(language="en"))
    assert_says(english, "Use of September 2026, reported late 12 km")


def test_a_flat_fee_says_for_which_part_of_the_month_it_is() -> None:
    assert_says(
        a_monthly_document(a_subscription(lines=(a_flat_line(18),), usage_days=())),
        "Cuota mensual de octubre de 2026 Del 14 de octubre de 2026 al 31 de octubre de 2026",
        "18 de 31 días 9,90 €/mes 5,75 €",
    )
    whole = a_monthly_document(a_subscription(lines=(a_flat_line(),), usage_days=()))
    assert_says(whole, "Cuota mensual de octubre de 2026 1 mes 9,90 €/mes 9,90 €")
    assert "Días con uso" not in words_of(whole)


@pytest.mark.parametrize(("language", "expected"), [("es", ("1 día", "12 días")), ("en", ("1 day", "12 days"))])
def test_days_with_use_are_counted_in_words(language: str, expected: tuple[str, ...]) -> None:
    lines = [
        a_usage_line(kind=RatePlanKind.PER_DAY_USED, unit="minute", quantity=Decimal(days), rate=Decimal(79), days=days)
        for days in (1, 12)
    ]
    document = a_monthly_document(a_subscription(lines=tuple(lines)), customer=a_customer(language=language))
    assert_says(document, *expected)


@pytest.mark.parametrize(
    ("unit", "quantity", "expected"),
    [
        ("manoeuvre", "1", "1 maniobra 0,035 €/maniobra"),
        ("manoeuvre", "2", "2 maniobras 0,035 €/maniobra"),
        ("kwh", "0.5", "0,5 kWh 0,035 €/kWh"),
        ("parsec", "1200", "1.200 parsec 0,035 €/parsec"),
    ],
)
def test_quantities_are_written_with_their_unit(unit: str, quantity: str, expected: str) -> None:
    line = a_usage_line(unit=unit, quantity=Decimal(quantity))
    assert_says(a_monthly_document(a_subscription(lines=(line,))), expected)


def test_a_rate_is_written_with_all_its_decimals() -> None:
    lines = (a_usage_line(rate=Decimal("1.333333")), a_usage_line(rate=Decimal("150.000000")))
    assert_says(a_monthly_document(a_subscription(lines=lines)), "0,01333333 €/km", "1,50 €/km")


def test_who_has_to_give_another_payment_method_is_not_told_that_it_is_charged() -> None:
    document = a_monthly_document(a_subscription(is_charged=False))
    assert_says(document, "Indíquenos otro, por favor: la factura vence el 8 de noviembre de 2026.")
    assert "cargo en su medio de pago" not in words_of(document)


@pytest.mark.parametrize("number", [6, 7, 8, 9, 10])
def test_no_page_begins_with_what_closes_the_table(number: int) -> None:
    lines = (a_usage_line(),) * number
    pages = PdfReader(io.BytesIO(a_typesetter().pdf(a_monthly_document(a_subscription(lines=lines))))).pages
    texts = [" ".join(page.extract_text().split()) for page in pages]
    assert sum(text.count("120,5 km") for text in texts) == number
    for expected in ("120,5 km", "Total con IVA", "DÍAS CON USO"):
        assert expected in texts[-1], (number, expected)


def test_a_long_invoice_goes_on_with_its_head_and_numbered_pages() -> None:
    lines = tuple(a_usage_line(quantity=Decimal(quantity)) for quantity in range(1, 101))
    pages = PdfReader(io.BytesIO(a_typesetter().pdf(a_monthly_document(a_subscription(lines=lines))))).pages
    texts = [" ".join(page.extract_text().split()) for page in pages]
    assert len(texts) == 4
    for number, text in enumerate(texts, start=1):
        assert f"Página {number} de 4" in text
        assert "CONCEPTO CANTIDAD PRECIO IMPORTE" in text
    for quantity in range(1, 101):
        assert sum(f"octubre de 2026 {quantity} km" in text for text in texts) == 1
    assert "DÍAS CON USO" in texts[-1]


def test_what_plans_name_is_never_markup() -> None:
    line = a_usage_line(unit='#panic("x")')
    words = words_in(a_typesetter().pdf(a_monthly_document(a_subscription(name="*bold* $1$ @x <y>", lines=(line,)))))
    assert "*bold* $1$ @x <y>" in words
    assert '120,5 #panic("x")' in words


def test_monthly_invoices_are_pdf_a_2b_in_both_languages() -> None:
    for language in ("es", "en"):
        document = a_monthly_document(customer=a_customer(language=language))
        assert is_pdf_a_2b(a_typesetter().pdf(document))


async def test_the_same_monthly_invoice_gives_the_same_bytes_also_through_a_task() -> None:
    document = a_monthly_document(a_subscription(lines=(*tiered_lines(), a_flat_line(18))))
    again = TypesetDocument.model_validate_json(TypesetDocument(document=document).model_dump_json())
    assert again.document == document
    typesetter = a_typesetter()
    assert (await typesetter.typeset(again)).pdf == typesetter.pdf(document)


def test_days_are_written_as_the_fewest_ranges_within_their_months() -> None:
    def ranges(*days: date) -> list[tuple[int, int]]:
        return [(one.first.day, one.last.day) for one in day_ranges(days)]

    assert day_ranges([]) == []
    assert day_ranges([OCTOBER, OCTOBER]) == [DayRange(OCTOBER, OCTOBER)]
    assert ranges(*days_of_october(7, 4, 3, 1, 2, *range(12, 32))) == [(1, 4), (7, 7), (12, 31)]
    assert ranges(date(2026, 9, 29), date(2026, 9, 30), *days_of_october(1, 2)) == [(29, 30), (1, 2)]
