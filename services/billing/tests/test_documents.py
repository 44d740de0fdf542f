"""PDFs: PDF/A-2b, the right words in the customer's language, nothing interpreted that customers wrote (INV-4)."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject, StreamObject

from caas_billing.domain.document import Document
from caas_billing.domain.sale import SoldPeriod
from caas_billing.gateway.typesetting import TypesetDocument
from caas_billing.gateway.wording import formatted_amount
from caas_contracts.orders import PurchaseKind
from services.billing.tests.builders import (
    AN_INSTANT,
    a_credit_note_document,
    a_customer,
    a_sale,
    a_service,
    a_typesetter,
    a_vehicle_sale,
    an_invoice_document,
    euros,
    vehicle_documents,
)


def words_of(document: Document) -> str:
    """The text of the PDF, with every run of white space as one space."""
    return words_in(a_typesetter().pdf(document))


def _objects(reader: PdfReader) -> Iterator[DictionaryObject]:
    """Every dictionary of the file."""
    size = reader.trailer["/Size"]
    assert isinstance(size, int)
    for number in range(1, size):
        found = reader.get_object(number)
        if isinstance(found, DictionaryObject):
            yield found


def is_pdf_a_2b(pdf: bytes) -> bool:
    """Whether the file claims PDF/A-2b, says how colours are meant, and brings all its fonts."""
    reader = PdfReader(io.BytesIO(pdf))
    claims = reader.root_object["/Metadata"].get_object()
    assert isinstance(claims, StreamObject)
    described = [entry for entry in _objects(reader) if entry.get("/Type") == "/FontDescriptor"]
    return (
        b"<pdfaid:part>2</pdfaid:part>" in claims.get_data()
        and b"<pdfaid:conformance>B</pdfaid:conformance>" in claims.get_data()
        and "/OutputIntents" in reader.root_object
        and bool(described)
        and all(entry.keys() & {"/FontFile", "/FontFile2", "/FontFile3"} for entry in described)
    )


def words_in(pdf: bytes) -> str:
    pages = PdfReader(io.BytesIO(pdf)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


def test_a_period_is_named_on_its_invoice_and_on_its_credit_note() -> None:
    ends_at = datetime(2026, 12, 22, 10, tzinfo=UTC)
    for language, expected in {
        "es": "Periodo 3: del 22 de noviembre de 2026 al 22 de diciembre de 2026",
        "en": "Period 3: from 22 November 2026 to 22 December 2026",
    }.items():
        service = a_service(kind=PurchaseKind.RECURRING, duration_days=None, period=SoldPeriod(3, ends_at))
        sale = a_sale(service=service, customer=a_customer(language=language))
        assert expected in words_of(an_invoice_document(sale))
        assert expected in words_of(a_credit_note_document(sale))


def test_a_spanish_invoice_says_what_the_law_and_the_customer_want() -> None:
    document = an_invoice_document()
    words = words_of(document)
    for expected in (
        "Factura",
        "S-2026-000042",
        "22 de noviembre de 2026",
        "CaaS Movilidad, S.L.",
        "NIF B00000000",
        "Calle de la Autopista, 1",
        "María Núñez",
        "NIF 12345678Z",
        "Piloto de autopista",
        "VIN-0001",
        "Del 22 de noviembre de 2026 al 22 de diciembre de 2026 (30 días)",
        "1.238,84 €",
        "IVA 21 %",
        "260,16 €",
        "1.499,00 €",
        str(document.payment_id),
        "Página 1 de 1",
    ):
        assert expected in words, expected
    assert "Fecha de operación" not in words


def test_an_english_invoice_is_in_english() -> None:
    words = words_of(an_invoice_document(a_sale(customer=a_customer(language="en", tax_id=None))))
    for expected in ("Invoice", "22 November 2026", "€1,238.84", "VAT 21 %", "Billed to".upper(), "Total"):
        assert expected in words, expected
    assert "Factura " not in words


def test_a_language_without_words_of_its_own_gets_english() -> None:
    assert "Date of issue" in words_of(an_invoice_document(a_sale(customer=a_customer(language="fr"))))


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "es",
            (
                "Factura rectificativa",
                "R-2026-000007",
                "Rectifica la factura S-2026-000042 del 22 de noviembre de 2026",
                "Motivo: ejercicio del derecho de desistimiento",
                "-50,00 €",
                "Total abonado",
            ),
        ),
        (
            "en",
            (
                "Credit note",
                "R-2026-000007",
                "Corrects invoice S-2026-000042 of 22 November 2026",
                "Reason: right of withdrawal exercised",
                "-€50.00",
                "Total credited",
            ),
        ),
    ],
)
def test_a_credit_note_names_what_it_corrects_and_why(language: str, expected: tuple[str, ...]) -> None:
    words = words_of(a_credit_note_document(a_sale(customer=a_customer(language=language))))
    for phrase in expected:
        assert phrase in words, phrase


def test_the_invoice_of_a_vehicle_names_it_and_takes_the_reservation_off() -> None:
    reservation, final = [words_of(document) for document in vehicle_documents()]
    for expected in (
        "Factura de reserva",
        "Reserva de CaaS One, a cuenta de su precio",
        "826,45 €",
        "1.000,00 €",
        "no es reembolsable",
    ):
        assert expected in reservation, expected
    assert "Matrícula" not in reservation
    for expected in (
        "V-2027-000002",
        "Bastidor (VIN) WCAAS0NE5T0000001",
        "Matrícula 1234 BCD",
        "31.490,00 €",
        "Reserva ya facturada",
        "Factura A-2026-000003 del 22 de noviembre de 2026",
        "-1.000,00 €",
        "25.198,34 €",
        "5.291,66 €",
        "30.490,00 €",
    ):
        assert expected in final, expected


def test_the_invoice_of_a_vehicle_speaks_english_too() -> None:
    _, final = vehicle_documents(a_vehicle_sale(customer=a_customer(language="en")))
    words = words_of(final)
    for expected in ("Registration 1234 BCD", "Reservation already invoiced", "Invoice A-2026-000003", "€30,490.00"):
        assert expected in words, expected


def test_a_permanent_service_has_no_end() -> None:
    service = a_service(kind=PurchaseKind.PERMANENT, duration_days=None)
    assert "Activación permanente desde el 22 de noviembre de 2026" in words_of(
        an_invoice_document(a_sale(service=service))
    )


def test_a_supply_on_another_day_is_dated() -> None:
    late_evening = datetime(2026, 11, 22, 22, 59, tzinfo=UTC)
    words = words_of(an_invoice_document(a_sale(supplied_at=late_evening), late_evening + timedelta(minutes=2)))
    assert "Fecha de expedición 23 de noviembre de 2026" in words
    assert "Fecha de operación 22 de noviembre de 2026" in words


def test_what_customers_write_is_never_markup() -> None:
    name = '#panic("x") *bold* $1$ @x <y> \\ "quoted" {{ 7 }} ]#'
    sale = a_sale(customer=a_customer(name=name), service=a_service(name="#import 'x'; _a_ = b"))
    words = words_of(an_invoice_document(sale))
    assert name in words
    assert "#import 'x'; _a_ = b" in words


def test_very_long_words_still_fit_on_the_page() -> None:
    sale = a_sale(
        customer=a_customer(name="Mª " + "Larguísimo " * 17, email="a" * 64 + "@" + "b" * 180 + ".example"),
        service=a_service(name="W" * 200, vehicle_id="V" * 64),
        captured=euros(10**12),
    )
    pdf = a_typesetter().pdf(an_invoice_document(sale))
    assert "10.000.000.000,00 €" in words_in(pdf)


def test_the_pdf_claims_pdf_a_2b_and_embeds_its_fonts() -> None:
    pdf = a_typesetter().pdf(an_invoice_document())
    assert is_pdf_a_2b(pdf)
    metadata = PdfReader(io.BytesIO(pdf)).metadata
    assert metadata is not None
    assert metadata.title == "Factura S-2026-000042"


def test_the_same_document_gives_the_same_bytes() -> None:
    document = an_invoice_document()
    assert a_typesetter().pdf(document) == a_typesetter().pdf(document)


async def test_a_task_survives_its_way_through_the_database() -> None:
    for document in (a_credit_note_document(), *vehicle_documents()):
        await a_task_survives(document)


async def a_task_survives(document: Document) -> None:
    task = TypesetDocument(document=document)
    again = TypesetDocument.model_validate_json(task.model_dump_json())
    assert again == task
    typesetter = a_typesetter()
    assert (await typesetter.typeset(again)).pdf == typesetter.pdf(task.document)


def test_amounts_follow_their_currency() -> None:
    assert formatted_amount(123456, "EUR", "en") == "€1,234.56"
    assert formatted_amount(5000, "JPY", "en") == "JP¥5,000"
    assert AN_INSTANT.tzinfo is UTC
