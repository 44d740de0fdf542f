"""HTTP: customers see their own documents and nothing of anyone else's (INV-4)."""

import asyncio
from uuid import uuid4

import httpx

from caas_chassis.testing.harness import Harness
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from services.billing.tests.builders import a_capture, a_purchase, a_refund
from services.billing.tests.callers import ANA, BEN, OPERATOR, identity

DEALER = identity.bearer("dora", "dealer")


async def an_invoice_of(billing: Harness, customer_id: str) -> InvoiceIssued:
    purchase = a_purchase(customer_id=customer_id)
    await billing.receive(purchase, a_capture(purchase), a_refund(purchase, 500))
    return (await billing.published(InvoiceIssued))[-1]


async def test_a_customer_lists_and_reads_their_invoices(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await an_invoice_of(billing, "ana")
    await an_invoice_of(billing, "ben")

    listed = await http.get("/invoices", headers=ANA)
    assert listed.status_code == 200
    (item,) = listed.json()["invoices"]
    assert item["number"] == invoice.number
    assert item["total"] == {"amount_minor": 1999, "currency": "EUR"}
    assert item["lines"][0]["vat_rate_bp"] == 2100
    assert item["credit_notes"][0]["total"]["amount_minor"] == 500

    one = await http.get(f"/invoices/{invoice.invoice_id}", headers=ANA)
    assert one.status_code == 200
    assert one.json() == item


async def test_a_customer_downloads_their_pdfs(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await an_invoice_of(billing, "ana")
    (note,) = await billing.published(CreditNoteIssued)
    await billing.run_effects()
    for document, number in ((invoice, invoice.number), (note, note.number)):
        answer = await http.get(document.document_url, headers=ANA)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"] == f'inline; filename="{number}.pdf"'
        assert "private" in answer.headers["cache-control"]
        assert answer.content.startswith(b"%PDF-")


async def test_what_belongs_to_others_does_not_exist(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await an_invoice_of(billing, "ana")
    (note,) = await billing.published(CreditNoteIssued)
    await billing.run_effects()
    for path in (
        f"/invoices/{invoice.invoice_id}",
        invoice.document_url,
        f"/credit-notes/{note.credit_note_id}",
        note.document_url,
    ):
        others, unknown = (
            await http.get(path, headers=BEN),
            await http.get(_with_other_id(path), headers=ANA),
        )
        assert (others.status_code, unknown.status_code) == (404, 404)
        assert others.headers["content-type"] == "application/problem+json"
        assert others.json()["code"] == unknown.json()["code"]
        assert (await http.get(path, headers=OPERATOR)).status_code == 200
    foreign = await http.get("/invoices", headers=BEN, params={"customer_id": "ana"})
    assert foreign.json()["invoices"] == []


async def test_nobody_reads_without_the_right_token(http: httpx.AsyncClient) -> None:
    for path in ("/invoices", f"/invoices/{uuid4()}", "/series", "/mailings"):
        assert (await http.get(path)).status_code == 401, path
        assert (await http.get(path, headers={"Authorization": "Bearer nonsense"})).status_code == 401, path
        assert (await http.get(path, headers=DEALER)).status_code == 403, path


async def test_customers_do_not_see_what_is_for_operators(http: httpx.AsyncClient) -> None:
    for path in ("/series", "/mailings"):
        assert (await http.get(path, headers=ANA)).status_code == 403, path
        assert (await http.get(path, headers=OPERATOR)).status_code == 200, path


async def test_operators_see_that_numbers_have_no_gap(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await an_invoice_of(billing, "ana")
    await an_invoice_of(billing, "ben")
    series = (await http.get("/series", headers=OPERATOR)).json()["series"]
    year = invoice.issued_at.year
    assert [(s["series"], s["year"], s["last_position"], s["issued"], s["is_gap_free"]) for s in series] == [
        ("R", year, 2, 2, True),
        ("S", year, 2, 2, True),
    ]


async def test_operators_list_everyones_invoices_page_by_page(billing: Harness, http: httpx.AsyncClient) -> None:
    for customer in ("ana", "ben", "ana"):
        await an_invoice_of(billing, customer)
    first = (await http.get("/invoices", headers=OPERATOR, params={"limit": 2})).json()
    second = (await http.get("/invoices", headers=OPERATOR, params={"limit": 2, "before": first["next_before"]})).json()
    numbers = [item["number"][-6:] for page in (first, second) for item in page["invoices"]]
    assert numbers == ["000003", "000002", "000001"]
    assert second["next_before"] is None
    of_ana = (await http.get("/invoices", headers=OPERATOR, params={"customer_id": "ana"})).json()
    assert len(of_ana["invoices"]) == 2


async def test_a_download_waits_for_its_pdf(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await an_invoice_of(billing, "ana")
    download = asyncio.create_task(http.get(invoice.document_url, headers=ANA))
    await asyncio.sleep(0.1)
    assert not download.done()
    await billing.run_effects()
    answer = await asyncio.wait_for(download, timeout=10)
    assert answer.content.startswith(b"%PDF-")


async def test_a_pdf_that_is_not_made_in_time_is_said_to_be_coming(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await an_invoice_of(billing, "ana")
    answer = await asyncio.wait_for(http.get(invoice.document_url, headers=ANA), timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (409, "document_not_ready")


async def test_malformed_requests_are_problems(http: httpx.AsyncClient) -> None:
    for path in ("/invoices/nonsense", "/invoices?limit=0", "/invoices?limit=1000", "/invoices?before=x"):
        answer = await http.get(path, headers=ANA)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), path


def _with_other_id(path: str) -> str:
    parts = path.split("/")
    parts[2] = str(uuid4())
    return "/".join(parts)
