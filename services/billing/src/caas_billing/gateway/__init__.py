"""Billing's outside: the typesetter of PDFs and the mail server. Nothing here sees a transaction."""
