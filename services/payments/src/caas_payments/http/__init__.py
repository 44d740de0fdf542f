"""Payments over HTTP: queries and wishes of operators, customers' own payments, the gateway's webhooks."""
