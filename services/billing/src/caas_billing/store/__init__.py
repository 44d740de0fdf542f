"""Billing's tables: plain SQL, one statement per function, sets in and sets out."""
