"""The gateway's hosted page, where a customer confirms a payment or refuses it (PAY-9); the secret link is the key."""

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from caas_sandbox.gateway.books import Books
from caas_sandbox.gateway.transaction import Transaction


def action_pages(books: Books) -> APIRouter:
    """`GET /actions/<secret>` shows what is confirmed, `POST …/approve` and `…/refuse` end it, once."""
    router = APIRouter(prefix="/actions/{secret}")

    @router.get("")
    async def show(secret: str) -> HTMLResponse:
        buttons = "".join(
            f'<form method="post" action="{escape(secret)}/{choice}"><button>{choice.capitalize()}</button></form>'
            for choice in ("approve", "refuse")
        )
        return _page(f"Pay {_amount(books.awaiting(secret))}?", buttons)

    @router.post("/approve")
    async def approve(secret: str) -> HTMLResponse:
        return _page(f"The payment is {books.complete_action(secret, approved=True).status}")

    @router.post("/refuse")
    async def refuse(secret: str) -> HTMLResponse:
        return _page(f"The payment is {books.complete_action(secret, approved=False).status}")

    return router


def _amount(transaction: Transaction) -> str:
    return f"{transaction.amount_minor} minor units of {transaction.currency}"


def _page(title: str, more: str = "") -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><title>Sandbox bank</title><h1>{escape(title)}</h1>{more}")
