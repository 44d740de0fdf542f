"""The gateway's settlement feed, GET /settlements of GW-1, as a partner that may be slow, down or wrong."""

from datetime import date
from typing import Annotated, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.gateway.fetching import fetched
from caas_reconciliation.gateway.port import FeedAnswer, Page, Unusable

_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
_Minor = Annotated[int, Field(ge=-(10**12), le=10**12)]


class GatewaySettlements:
    """The feed over HTTP; the client carries the base address, deadlines and limits."""

    def __init__(self, client: httpx.AsyncClient, api_key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {api_key}"}

    async def page(self, cursor: str, limit: int) -> FeedAnswer:
        """One page. Never raises for what a partner can do."""
        parameters = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        body = await fetched(self._client, "/settlements", parameters, self._headers)
        return _page(body, cursor) if isinstance(body, bytes) else body


class _Line(BaseModel):
    # Fields we do not know are part of the raw feed that is kept (RCN-1).
    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    id: _Id
    transaction_id: _Id
    reference: Annotated[str, Field(max_length=200)]
    operation_reference: Annotated[str, Field(max_length=200)] | None = None
    kind: Annotated[str, Field(min_length=1, max_length=64)]
    gross_minor: _Minor
    fee_minor: _Minor
    net_minor: _Minor
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    settled_on: date
    payout_id: Annotated[str, Field(max_length=200)]

    def line(self) -> SettlementLine:
        known = self.model_dump(include=set(type(self).model_fields) - {"id"})
        return SettlementLine(line_id=self.id, raw=self.model_dump_json(), **known)


class _Page(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    lines: Annotated[list[_Line], Field(max_length=10_000)]
    next_cursor: Annotated[str, Field(max_length=500)] | None = None
    has_more: bool


def _page(body: bytes, cursor: str) -> Page | Unusable:
    if len(body) > _MAX_BODY_BYTES:
        return Unusable(f"the page has more than {_MAX_BODY_BYTES} bytes")
    if b"\\u0000" in body:
        return Unusable("the page holds a NUL character, which cannot be stored")
    try:
        page = _Page.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Unusable(f"the page is not as GW-1 says: {'.'.join(map(str, first['loc']))}: {first['type']}")
    next_cursor = page.next_cursor if page.next_cursor is not None else cursor
    if page.has_more and next_cursor == cursor:
        return Unusable("the page says there is more, but not where")
    return Page(tuple(line.line() for line in page.lines), next_cursor, page.has_more)
