"""Stripe's payouts as a settlement feed: each automatic payout with the balance transactions that it is made of.

Invariant: payouts are read in the order in which they were made, and never past one that is still under way; so the
cursor, `payout` or `payout/balance transaction`, is good for ever.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caas_reconciliation.domain.settlement import LineKind, SettlementLine
from caas_reconciliation.gateway.fetching import fetched
from caas_reconciliation.gateway.port import FeedAnswer, Page, Unavailable, Unusable

STRIPE_VERSION: Final = "2026-08-26.dahlia"
"""The version of Stripe's API that this feed is written for."""

_MOST_ROWS: Final = 100
"""The most that Stripe puts into one page."""
_MOST_PAGES: Final = 50
"""5,000 payouts: 13 years of daily ones, read through once, to find the first."""
_OTHER_UNITS: Final = frozenset({"ISK", "UGX", "MGA"})
"""Stripe counts these in other units than ISO 4217 does."""
_FINAL: Final = frozenset({"paid", "failed", "canceled"})
_KINDS: Final = {
    "charge": LineKind.CAPTURE,
    "payment": LineKind.CAPTURE,
    "refund": LineKind.REFUND,
    "payment_refund": LineKind.REFUND,
}
_OF_THE_PAYOUT: Final = frozenset({"payout", "payout_cancel", "payout_failure"})
"""The payout's own movements: the money of one that failed comes with a later one, and is counted once."""

_Id = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_]+$")]
_Minor = Annotated[int, Field(ge=-(10**12), le=10**12)]
_Seconds = Annotated[int, Field(ge=0, le=10**11)]
_Reference = Annotated[str, Field(max_length=200)]


class _Read(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Payout(_Read):
    id: _Id
    status: str
    automatic: bool
    arrival_date: _Seconds
    reconciliation_status: str


class _Payouts(_Read):
    data: Annotated[list[_Payout], Field(max_length=_MOST_ROWS)]
    has_more: bool


class _Metadata(_Read):
    reference: _Reference = ""
    refund_reference: _Reference | None = None


class _Charge(_Read):
    metadata: _Metadata = Field(default_factory=_Metadata)


class _Source(_Read):
    """A charge, a refund or a dispute; a dispute has its charge inside, which has our reference."""

    id: _Id
    payment_intent: _Id | None = None
    metadata: _Metadata = Field(default_factory=_Metadata)
    charge: _Charge | str | None = None

    @property
    def reference(self) -> str:
        of_charge = self.charge.metadata.reference if isinstance(self.charge, _Charge) else ""
        return self.metadata.reference or of_charge


class _BalanceTransaction(BaseModel):
    # Fields we do not know are part of the raw feed that is kept (RCN-1).
    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    id: _Id
    type: Annotated[str, Field(min_length=1, max_length=64)]
    reporting_category: str = ""
    amount: _Minor
    fee: _Minor
    net: _Minor
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]
    source: _Source | str | None = None

    def lines(self, payout: _Payout) -> list[SettlementLine]:
        """One line, none for the payout's own movement; a dispute's fee is a line of its own."""
        if self.type in _OF_THE_PAYOUT:
            return []
        if self.reporting_category != "dispute":
            return [self._line(payout, self.id, _KINDS.get(self.type, self.type), self.amount, self.fee)]
        back = self._line(payout, self.id, LineKind.CHARGEBACK, self.amount, 0)
        return (
            [back, self._line(payout, f"{self.id}.fee", LineKind.CHARGEBACK_FEE, 0, self.fee)] if self.fee else [back]
        )

    def _line(self, payout: _Payout, line_id: str, kind: str, gross: int, fee: int) -> SettlementLine:
        source = self.source if isinstance(self.source, _Source) else None
        return SettlementLine(
            line_id=line_id,
            transaction_id=(source.payment_intent or source.id) if source else self.id,
            reference=source.reference if source else "",
            operation_reference=source.metadata.refund_reference if source else None,
            kind=str(kind),
            gross_minor=gross,
            fee_minor=fee,
            net_minor=gross - fee if self.reporting_category == "dispute" else self.net,
            currency=self.currency.upper(),
            settled_on=datetime.fromtimestamp(payout.arrival_date, UTC).date(),
            payout_id=payout.id,
            raw=self.model_dump_json(),
        )


class _BalanceTransactions(_Read):
    data: Annotated[list[_BalanceTransaction], Field(max_length=_MOST_ROWS)]
    has_more: bool


class StripeSettlements:
    """The feed over HTTP; the client carries the base address, deadlines and limits."""

    def __init__(self, client: httpx.AsyncClient, api_key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": STRIPE_VERSION}

    async def page(self, cursor: str, limit: int) -> FeedAnswer:
        """Lines of one payout, at most 100. Never raises for what a partner can do."""
        behind, _, after = cursor.partition("/")
        payout = await (self._payout(behind) if after else self._following(behind))
        if payout is None:
            return Page((), cursor, has_more=False)
        if not isinstance(payout, _Payout):
            return payout
        rows = await self._rows(payout, after, min(limit, _MOST_ROWS))
        if not isinstance(rows, _BalanceTransactions):
            return rows
        lines = tuple(line for row in rows.data for line in row.lines(payout))
        if any(line.currency in _OTHER_UNITS for line in lines):
            return Unusable(f"payout {payout.id} is in a currency that Stripe counts in units of its own")
        if rows.has_more:
            return Page(lines, f"{payout.id}/{rows.data[-1].id}", has_more=True)
        following = await self._following(payout.id)
        # Trouble ahead is met when the next page is asked for.
        return Page(lines, payout.id, has_more=following is not None)

    async def _following(self, behind: str) -> _Payout | Unavailable | Unusable | None:
        """The payout made after this one (empty: the first of all) when it is final, None when there is none yet."""
        payout = await (self._next(behind) if behind else self._first())
        if not isinstance(payout, _Payout):
            return payout
        if payout.status not in _FINAL or (payout.automatic and payout.reconciliation_status != "completed"):
            return None
        if not payout.automatic:
            return Unusable(f"payout {payout.id} is manual: Stripe does not say what it is made of")
        return payout

    async def _next(self, behind: str) -> _Payout | Unavailable | Unusable | None:
        page = await self._payouts({"ending_before": behind, "limit": "1"})
        if not isinstance(page, _Payouts):
            return page
        return page.data[0] if page.data else None

    async def _first(self) -> _Payout | Unavailable | Unusable | None:
        """Lists begin with the newest, so the first is at the end of all pages."""
        parameters = {"limit": str(_MOST_ROWS)}
        oldest: _Payout | None = None
        for _ in range(_MOST_PAGES):
            page = await self._payouts(parameters)
            if not isinstance(page, _Payouts):
                return page
            oldest = page.data[-1] if page.data else oldest
            if not page.has_more or oldest is None:
                return oldest
            parameters["starting_after"] = oldest.id
        return Unusable("there are more payouts than can be listed")

    async def _payout(self, name: str) -> _Payout | Unavailable | Unusable:
        return await self._read(f"/v1/payouts/{name}", {}, _Payout)

    async def _payouts(self, parameters: dict[str, str]) -> _Payouts | Unavailable | Unusable:
        return await self._read("/v1/payouts", parameters, _Payouts)

    async def _rows(self, payout: _Payout, after: str, limit: int) -> _BalanceTransactions | Unavailable | Unusable:
        parameters = {
            "payout": payout.id,
            "limit": str(limit),
            "expand[0]": "data.source",
            "expand[1]": "data.source.charge",
        }
        if after:
            parameters["starting_after"] = after
        rows = await self._read("/v1/balance_transactions", parameters, _BalanceTransactions)
        if isinstance(rows, _BalanceTransactions) and rows.has_more and not rows.data:
            return Unusable("the page says there is more, but not where")
        return rows

    async def _read[T: BaseModel](
        self, path: str, parameters: dict[str, str], model: type[T]
    ) -> T | Unavailable | Unusable:
        body = await fetched(self._client, path, parameters, self._headers)
        if not isinstance(body, bytes):
            return body
        if b"\\u0000" in body:
            return Unusable("the page holds a NUL character, which cannot be stored")
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            return Unusable(f"not as Stripe says: {'.'.join(map(str, first['loc']))}: {first['type']}")
