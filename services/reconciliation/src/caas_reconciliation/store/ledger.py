"""The double-entry ledger: entries are posted once per source; the database refuses what does not balance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_reconciliation.domain.accounts import Account
from caas_reconciliation.domain.posting import Entry, Line

POST_ENTRIES: Final = """
WITH posted AS (
    INSERT INTO journal_entry (source_kind, source_id, payment_id, occurred_at, message_id, posted_at)
    SELECT e.*, $6 FROM unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::text[])
        AS e(source_kind, source_id, payment_id, occurred_at, message_id)
    ON CONFLICT (source_kind, source_id) DO NOTHING
    RETURNING entry_id, source_kind, source_id
)
INSERT INTO journal_line (entry_id, line_number, account, amount_minor, currency)
SELECT p.entry_id, l.line_number, l.account, l.amount_minor, l.currency
FROM unnest($7::text[], $8::text[], $9::smallint[], $10::text[], $11::bigint[], $12::text[])
    AS l(source_kind, source_id, line_number, account, amount_minor, currency)
JOIN posted p USING (source_kind, source_id)
"""

TRIAL_BALANCE: Final = """
SELECT account, currency, coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0)::bigint AS debit_minor,
       coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0)::bigint AS credit_minor
FROM journal_line GROUP BY account, currency ORDER BY account, currency
"""

SELECT_ENTRIES_OF_PAYMENT: Final = """
SELECT e.source_kind, e.source_id, e.occurred_at, e.posted_at, e.message_id, l.account, l.amount_minor, l.currency
FROM journal_entry e JOIN journal_line l USING (entry_id)
WHERE e.payment_id = $1 ORDER BY e.entry_id, l.line_number
"""

SELECT_ALL_LINES: Final = """
SELECT e.source_kind, e.source_id, l.account, l.amount_minor, l.currency
FROM journal_entry e JOIN journal_line l USING (entry_id) ORDER BY e.entry_id, l.line_number
"""


@dataclass(frozen=True, slots=True)
class Balance:
    """The turnover of one account in one currency, in minor units; both sides are positive."""

    account: str
    currency: str
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, slots=True)
class PostedLine:
    """One side of a posted entry, with where it comes from."""

    source_kind: str
    source_id: str
    occurred_at: datetime
    posted_at: datetime
    message_id: str
    account: str
    amount_minor: int
    currency: str


async def post(entries: Sequence[Entry], *, tx: Tx) -> None:
    """Post the entries whose sources have none yet."""
    unique = list({(entry.source_kind, entry.source_id): entry for entry in entries}.values())
    if not unique:
        return
    ordered = sorted(unique, key=lambda entry: (entry.source_kind, entry.source_id))
    lines = [(entry, number, line) for entry in ordered for number, line in enumerate(entry.lines, start=1)]
    await tx.execute(
        POST_ENTRIES,
        [entry.source_kind for entry in ordered],
        [entry.source_id for entry in ordered],
        [entry.payment_id for entry in ordered],
        [entry.occurred_at for entry in ordered],
        [entry.message_id for entry in ordered],
        tx.now,
        [entry.source_kind for entry, _, _ in lines],
        [entry.source_id for entry, _, _ in lines],
        [number for _, number, _ in lines],
        [line.account for _, _, line in lines],
        [line.amount_minor for _, _, line in lines],
        [entry.currency for entry, _, _ in lines],
    )


async def trial_balance(*, tx: Tx) -> list[Balance]:
    """Every account that was ever posted to."""
    return [Balance(**row) for row in await tx.fetch(TRIAL_BALANCE)]


async def entries_of_payment(payment_id: UUID, *, tx: Tx) -> list[PostedLine]:
    """Everything that was posted for one payment, in order."""
    return [PostedLine(**row) for row in await tx.fetch(SELECT_ENTRIES_OF_PAYMENT, payment_id)]


async def all_entries(*, tx: Tx) -> dict[tuple[str, str], set[tuple[Line, str]]]:
    """Every entry by its source, as lines with their currency, for comparison with a rebuilt ledger."""
    entries: dict[tuple[str, str], set[tuple[Line, str]]] = {}
    for row in await tx.fetch(SELECT_ALL_LINES):
        side = Line(Account(row["account"]), row["amount_minor"])
        entries.setdefault((row["source_kind"], row["source_id"]), set()).add((side, row["currency"]))
    return entries
