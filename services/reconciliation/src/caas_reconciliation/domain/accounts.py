"""The chart of accounts (RCN-6). A positive amount in the ledger is a debit, a negative one a credit."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Account(StrEnum):
    """The accounts that entries are posted to."""

    RECEIVABLE = "receivable"
    DOUBTFUL_RECEIVABLES = "doubtful_receivables"
    CASH_IN_TRANSIT = "cash_in_transit"
    BANK = "bank"
    CUSTOMER_ADVANCES = "customer_advances"
    CUSTOMER_PREPAYMENTS = "customer_prepayments"
    REVENUE = "revenue"
    VAT_OUTPUT = "vat_output"
    GATEWAY_FEES = "gateway_fees"
    REFUNDS = "refunds"
    CHARGEBACKS = "chargebacks"
    WRITE_OFFS = "write_offs"
    ADJUSTMENTS = "adjustments"
    FORFEITED_RESERVATIONS = "forfeited_reservations"


class AccountKind(StrEnum):
    """Where an account stands in the balance sheet or the income statement."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"


@dataclass(frozen=True, slots=True)
class AccountDescription:
    """One line of the chart: what the account is, and what a balance on it says."""

    account: Account
    kind: AccountKind
    meaning: str


CHART_OF_ACCOUNTS: Final[tuple[AccountDescription, ...]] = (
    AccountDescription(
        Account.RECEIVABLE,
        AccountKind.ASSET,
        "owed by customers: invoiced and not captured; negative while a capture waits for its invoice",
    ),
    AccountDescription(
        Account.DOUBTFUL_RECEIVABLES,
        AccountKind.ASSET,
        "monthly invoices in collections (SUB-6): still owed, and perhaps never paid",
    ),
    AccountDescription(
        Account.CASH_IN_TRANSIT,
        AccountKind.ASSET,
        "captured or refunded at the gateway and not settled yet: equals the open expectations",
    ),
    AccountDescription(Account.BANK, AccountKind.ASSET, "what the gateway's settlements brought to the bank"),
    AccountDescription(
        Account.CUSTOMER_ADVANCES,
        AccountKind.LIABILITY,
        "reservations without VAT, invoiced and neither delivered nor forfeited yet",
    ),
    AccountDescription(
        Account.CUSTOMER_PREPAYMENTS,
        AccountKind.LIABILITY,
        "services paid ahead, VAT included, and neither delivered nor given back yet (PLN-1)",
    ),
    AccountDescription(Account.REVENUE, AccountKind.INCOME, "sales without VAT"),
    AccountDescription(Account.VAT_OUTPUT, AccountKind.LIABILITY, "VAT owed to the tax authority"),
    AccountDescription(Account.GATEWAY_FEES, AccountKind.EXPENSE, "what the gateway kept, chargeback fees included"),
    AccountDescription(Account.REFUNDS, AccountKind.INCOME, "sales given back without VAT; reduces revenue"),
    AccountDescription(Account.CHARGEBACKS, AccountKind.EXPENSE, "captured money that the customers' banks took back"),
    AccountDescription(Account.WRITE_OFFS, AccountKind.EXPENSE, "delivered and lost (SVC-8), or given up in a case"),
    AccountDescription(Account.ADJUSTMENTS, AccountKind.INCOME, "differences a case closed by correcting our records"),
    AccountDescription(
        Account.FORFEITED_RESERVATIONS, AccountKind.INCOME, "reservations kept when the final payment failed"
    ),
)
