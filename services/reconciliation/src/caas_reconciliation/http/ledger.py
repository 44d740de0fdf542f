"""The books for reading: trial balance, entries of a payment, verification, and what is still expected."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import requires
from caas_reconciliation.domain.accounts import CHART_OF_ACCOUNTS, AccountKind
from caas_reconciliation.handlers.rebuilding import Verification, rebuild_ledger
from caas_reconciliation.store import expectations, ledger
from caas_reconciliation.store.expectations import ExpectationState
from caas_reconciliation.store.ledger import Balance, PostedLine

Operator = Annotated[Principal, Depends(requires("operator"))]


class AccountBalance(BaseModel):
    """Turnover of one account, and its balance: debits minus credits."""

    account: str
    kind: AccountKind
    currency: str
    debit_minor: int
    credit_minor: int
    balance_minor: int


class TrialBalance(BaseModel):
    """All accounts; `imbalance_minor` is 0, or the ledger is wrong."""

    accounts: list[AccountBalance]
    imbalance_minor: int


class LedgerVerification(BaseModel):
    """Whether the ledger equals the one rebuilt from its facts (RCN-6); at most 100 differences are named."""

    holds: bool
    posted_entries: int
    rebuilt_entries: int
    differences: list[str]
    miscounted_expectations: int


def router_of(runtime: Runtime) -> APIRouter:
    """The routes below /ledger and /expectations."""
    router = APIRouter(tags=["ledger"])

    @router.get("/ledger/trial-balance")
    async def get_trial_balance(_: Operator) -> TrialBalance:
        """Every account that was ever posted to, per currency."""
        async with runtime.reading() as tx:
            return _trial_balance(await ledger.trial_balance(tx=tx))

    @router.get("/ledger/entries")
    async def get_entries(payment_id: UUID, _: Operator) -> list[PostedLine]:
        """Everything posted for one payment, in order."""
        async with runtime.reading() as tx:
            return await ledger.entries_of_payment(payment_id, tx=tx)

    @router.get("/ledger/verification")
    async def get_verification(_: Operator) -> LedgerVerification:
        """Rebuild the ledger from the stored facts and compare; nothing is changed."""
        async with runtime.reading() as tx:
            return _verification(await rebuild_ledger(tx=tx))

    @router.get("/expectations")
    async def get_expectations(
        _: Operator,
        open_only: Annotated[bool, Query(alias="open")] = False,
        payment_id: UUID | None = None,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> list[ExpectationState]:
        """Captures and refunds with what was settled of them; the last id as `after` gives the next page."""
        async with runtime.reading() as tx:
            return await expectations.find_expectations(
                open_only=open_only, payment_id=payment_id, after=after, limit=limit, tx=tx
            )

    return router


def _trial_balance(balances: list[Balance]) -> TrialBalance:
    kinds = {description.account.value: description.kind for description in CHART_OF_ACCOUNTS}
    accounts = [
        AccountBalance(
            account=balance.account,
            kind=kinds[balance.account],
            currency=balance.currency,
            debit_minor=balance.debit_minor,
            credit_minor=balance.credit_minor,
            balance_minor=balance.debit_minor - balance.credit_minor,
        )
        for balance in balances
    ]
    totals: dict[str, int] = {}
    for account in accounts:
        totals[account.currency] = totals.get(account.currency, 0) + account.balance_minor
    return TrialBalance(accounts=accounts, imbalance_minor=sum(abs(total) for total in totals.values()))


def _verification(found: Verification) -> LedgerVerification:
    return LedgerVerification(
        holds=found.holds,
        posted_entries=found.posted_entries,
        rebuilt_entries=found.rebuilt_entries,
        differences=found.differences[:100],
        miscounted_expectations=found.miscounted_expectations,
    )
