"""The payment gateway's room (GW-1, GW-7): the only place that speaks its API and reads its webhooks."""

from caas_payments.gateway.client import GatewayClient as GatewayClient
from caas_payments.gateway.port import GatewayTask as GatewayTask
from caas_payments.gateway.port import PaymentGateway as PaymentGateway
