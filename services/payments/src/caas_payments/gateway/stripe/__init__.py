"""The adapter for Stripe (GW-7): card payments as PaymentIntents, behind the same room as the API of GW-1."""

from caas_payments.gateway.stripe.gateway import StripeGateway as StripeGateway
from caas_payments.gateway.stripe.webhooks import StripeWebhooks as StripeWebhooks
