"""Billing: issues the invoice of every paid service and the credit note of every refund (INV-1 to INV-4)."""
