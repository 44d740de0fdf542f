"""What partners tell by webhook, applied in the transaction that stores it; the order of arrival does not matter."""

from functools import partial
from typing import assert_never

from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_orders.domain.factory_event import FactoryEvent
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.gateway.partner_events import RegistrationTold, Told, TransportTold
from caas_orders.handlers.supplying import apply_factory_events, apply_registration_answer, apply_transport_answer
from caas_orders.store import partner_webhooks
from caas_orders.store.partner_webhooks import StoredWebhook


async def follow(webhook: StoredWebhook, told: Told | None, policy: SalesPolicy, *, tx: Tx) -> None:
    """Stores a webhook and does as it says, once; one without a meaning for us is only stored.

    One that gives an order what another order has already is stored, and a person is told.
    """
    if not await partner_webhooks.insert(webhook, tx=tx):
        return
    contradicted = await partner_webhooks.unless_contradicted(partial(_apply, told, policy, tx=tx), tx=tx)
    if contradicted:
        detail = f"webhook {webhook.id} contradicts another order ({contradicted}): ask the {webhook.partner}"
        tx.alert(AlertKind.PARTNER_REFUSED, webhook.reference, detail)


async def _apply(told: Told | None, policy: SalesPolicy, *, tx: Tx) -> None:
    match told:
        case None:
            pass
        case FactoryEvent():  # FIN-1
            await apply_factory_events([told], tx=tx, policy=policy)
        case RegistrationTold():  # FIN-3
            await apply_registration_answer(told.order_id, told.submission, told.answer, tx=tx, policy=policy)
        case TransportTold():  # FIN-3
            await apply_transport_answer(told.order_id, told.answer, tx=tx, policy=policy)
        case _:
            assert_never(told)
