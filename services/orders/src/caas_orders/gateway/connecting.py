"""Connects orders to factory, administration and transport, as the settings say where they are."""

from collections.abc import Mapping, Sequence
from typing import Final

import httpx
from pydantic import SecretStr

from caas_orders.gateway.commissions import CommissionClient
from caas_orders.gateway.partner_events import Partner, PartnerWebhooks
from caas_orders.gateway.partners import FactoryClient, RegistrationClient, TransportClient
from caas_orders.gateway.supply import Suppliers
from caas_orders.settings import OrdersSettings

_CONNECTIONS: Final = 32  # As many as the effect that calls a partner makes calls at once.


def connect(settings: OrdersSettings) -> Suppliers | None:
    """The partners over HTTP; connections are made when they are needed. None without addresses.

    Raises ValueError when only some of the addresses are given.
    """
    addresses = (settings.factory_url, settings.registration_url, settings.transport_url)
    if not any(addresses):
        return None
    if not all(addresses):
        raise ValueError("factory_url, registration_url and transport_url go together: give all three or none")
    timeout_s = settings.partner_timeout_s
    factory = _client(settings.factory_url, settings.factory_api_key, timeout_s)
    registration = _client(settings.registration_url, settings.registration_api_key, timeout_s)
    transport = _client(settings.transport_url, settings.transport_api_key, timeout_s)
    return Suppliers(
        FactoryClient(CommissionClient(factory, "orders", timeout_s)),
        RegistrationClient(CommissionClient(registration, "registrations", timeout_s)),
        TransportClient(CommissionClient(transport, "deliveries", timeout_s)),
    )


def webhooks(settings: OrdersSettings) -> PartnerWebhooks:
    """How each partner signs; raises ValueError for a secret that is not base64."""
    secrets: Mapping[Partner, Sequence[str]] = {
        Partner.FACTORY: _given(settings.factory_webhook_secret, settings.factory_webhook_previous_secret),
        Partner.REGISTRATION: _given(
            settings.registration_webhook_secret, settings.registration_webhook_previous_secret
        ),
        Partner.TRANSPORT: _given(settings.transport_webhook_secret, settings.transport_webhook_previous_secret),
    }
    return PartnerWebhooks(secrets)


def _client(base_url: str, api_key: SecretStr, timeout_s: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {api_key.get_secret_value()}"},
        timeout=httpx.Timeout(timeout_s),
        limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
    )


def _given(*secrets: SecretStr) -> tuple[str, ...]:
    return tuple(secret.get_secret_value() for secret in secrets if secret.get_secret_value())
