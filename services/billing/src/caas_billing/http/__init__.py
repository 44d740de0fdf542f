"""Billing over HTTP: customers read their invoices and documents, operators everyone's (INV-4).

What is not the caller's does not exist for the caller: 404, never 403.
"""

from fastapi import APIRouter

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.http.closing import runs_router
from caas_billing.http.collecting import collections_router
from caas_billing.http.crediting import credit_notes_router
from caas_billing.http.invoicing import invoices_router
from caas_billing.http.mailing import mailings_router
from caas_billing.http.numbering import series_router
from caas_billing.http.subscriptions import paying_router, subscriptions_router
from caas_billing.http.using import usage_router
from caas_chassis.runtime import Runtime


def routers(runtime: Runtime, policy: BillingPolicy, *, document_wait_s: float) -> list[APIRouter]:
    """All routes of this service. A download waits up to `document_wait_s` for its PDF."""
    return [
        invoices_router(runtime, document_wait_s=document_wait_s),
        credit_notes_router(runtime, document_wait_s=document_wait_s),
        series_router(runtime),
        mailings_router(runtime),
        runs_router(runtime, policy),
        subscriptions_router(runtime, policy),
        paying_router(runtime),
        collections_router(runtime),
        usage_router(runtime, time_zone=policy.time_zone.key),
    ]
