"""Payments: the payment state machine, the charge fence, risk, refunds and the gateway's webhooks."""
