"""Questions to a gateway as payments puts them, and what its answers must be."""

from caas_chassis.ids import new_id
from caas_payments.domain.attempt import Operation, Step
from caas_payments.domain.gateway_result import Answered, GatewayResult, Refused, Transaction, TransactionStatus
from caas_payments.gateway import GatewayTask

PRICE_MINOR = 1999


def an_authorization_of(payment_method: str) -> GatewayTask:
    """A payment's first question: hold 19.99 EUR."""
    payment_id = new_id()
    return GatewayTask(
        payment_id=payment_id,
        number=1,
        step=Step.CALL,
        operation=Operation.AUTHORIZE,
        idempotency_key=f"{payment_id}:authorize:1",
        amount_minor=PRICE_MINOR,
        currency="EUR",
        payment_method=payment_method,
    )


def following(task: GatewayTask, held: Transaction, key: str, amount_minor: int = PRICE_MINOR) -> GatewayTask:
    """A later operation on the transaction, under its own key."""
    update = {
        "transaction_id": held.id,
        "idempotency_key": f"{task.payment_id}:{key}",
        "amount_minor": amount_minor,
        "refund_id": new_id(),
    }
    return task.model_copy(update=update)


def answered(result: GatewayResult) -> Transaction:
    """The record in an answer."""
    assert isinstance(result, Answered), result
    return result.transaction


def declined_as(result: GatewayResult) -> str | None:
    """Why an authorization was declined, whichever way the gateway says so."""
    if isinstance(result, Refused):
        return result.code
    transaction = answered(result)
    assert transaction.status is TransactionStatus.DECLINED, transaction
    return transaction.decline_code
