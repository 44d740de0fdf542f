"""Stripe's payouts and balance transactions in this process, listed the newest first as Stripe lists them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

ARRIVAL = int(datetime(2026, 3, 5, tzinfo=UTC).timestamp())


def a_payout(name: str, **members: Any) -> dict[str, Any]:
    """An automatic payout that has arrived."""
    return {
        "id": name,
        "object": "payout",
        "status": "paid",
        "automatic": True,
        "arrival_date": ARRIVAL,
        "reconciliation_status": "completed",
    } | members


def a_row(
    name: str, kind: str, amount: int, fee: int, source: dict[str, Any] | str | None, **more: Any
) -> dict[str, Any]:
    """A balance transaction."""
    return {
        "id": name,
        "object": "balance_transaction",
        "type": kind,
        "reporting_category": kind,
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
        "currency": "eur",
        "source": source,
    } | more


def a_charge(reference: str, intent: str = "pi_1") -> dict[str, Any]:
    """The source of a capture."""
    return {"id": "ch_1", "object": "charge", "payment_intent": intent, "metadata": {"reference": reference}}


class StripeInProcess:
    """Payouts in the order in which they were made, each with its rows."""

    def __init__(self) -> None:
        self.payouts: list[dict[str, Any]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.trouble: list[httpx.Response] = []
        self.asked: list[httpx.Request] = []

    def pay_out(self, name: str, *rows: dict[str, Any], **members: Any) -> None:
        """A payout and what it is made of; as at Stripe its own movement is among the rows."""
        self.payouts.append(a_payout(name, **members))
        own = a_row(f"txn_{name}", "payout", -sum(row["net"] for row in rows), 0, name)
        self.rows[name] = [*rows, own]

    def client(self) -> httpx.AsyncClient:
        """A client that is answered here."""
        return httpx.AsyncClient(base_url="http://stripe", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.trouble:
            return self.trouble.pop(0)
        path, asked = request.url.path, request.url.params
        if path == "/v1/payouts":
            return _listed(self.payouts[::-1], asked)
        if path == "/v1/balance_transactions":
            return _listed(self.rows[asked["payout"]][::-1], asked)
        found = [payout for payout in self.payouts if path == f"/v1/payouts/{payout['id']}"]
        return httpx.Response(200, json=found[0]) if found else httpx.Response(404)


def _listed(newest_first: Sequence[dict[str, Any]], asked: httpx.QueryParams) -> httpx.Response:
    names = [each["id"] for each in newest_first]
    limit = int(asked["limit"])
    if "ending_before" in asked:
        before = newest_first[: names.index(asked["ending_before"])]
        shown, has_more = before[-limit:], len(before) > limit
    else:
        rest = newest_first[names.index(asked["starting_after"]) + 1 :] if "starting_after" in asked else newest_first
        shown, has_more = rest[:limit], len(rest) > limit
    return httpx.Response(200, text=json.dumps({"object": "list", "data": list(shown), "has_more": has_more}))
