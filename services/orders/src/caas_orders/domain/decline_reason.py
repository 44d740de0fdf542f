"""Why a payment did not succeed, in words that a customer understands; codes stay in logs and messages."""

from collections.abc import Mapping
from typing import Final

from caas_orders.domain.final_payment import DEADLINE_MISSED
from caas_orders.domain.registration import Language

_ES, _EN = Language.SPANISH, Language.ENGLISH

_UNKNOWN: Final[Mapping[Language, str]] = {
    _ES: "Su banco no ha aceptado el pago. Consulte a su banco o pruebe con otro medio de pago.",
    _EN: "Your bank did not accept the payment. Ask your bank, or try another payment method.",
}

_WORDS: Final[Mapping[str, Mapping[Language, str]]] = {
    "insufficient_funds": {
        _ES: "No hay saldo suficiente para este importe.",
        _EN: "There is not enough money available for this amount.",
    },
    "expired_card": {_ES: "La tarjeta ha caducado.", _EN: "The card has expired."},
    "invalid_card": {
        _ES: "Los datos del medio de pago no son válidos.",
        _EN: "The details of the payment method are not valid.",
    },
    "invalid_payment_method": {
        _ES: "Los datos del medio de pago no son válidos.",
        _EN: "The details of the payment method are not valid.",
    },
    "risk_refused": {
        _ES: "No podemos aceptar este pago. Póngase en contacto con nosotros.",
        _EN: "We cannot accept this payment. Please contact us.",
    },
    "limit_exceeded": {
        _ES: "El importe supera el límite de su tarjeta.",
        _EN: "The amount is above the limit of your card.",
    },
    "authentication_failed": {
        _ES: "No se ha podido confirmar su identidad con su banco.",
        _EN: "Your bank could not confirm that it is you.",
    },
    "gateway_unreachable": {
        _ES: "El servicio de pagos no está disponible en este momento. Puede intentarlo de nuevo.",
        _EN: "The payment service is not available at the moment. You may try again.",
    },
    DEADLINE_MISSED: {
        _ES: "El plazo para el pago final ha terminado.",
        _EN: "The deadline of the final payment has passed.",
    },
}


def words_for(reason: str, language: Language) -> str:
    """One sentence for a decline code; a code we do not know is a plain refusal by the bank."""
    return _WORDS.get(reason, _UNKNOWN)[language]
