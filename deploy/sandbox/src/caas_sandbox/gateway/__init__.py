"""A payment gateway as CaaS sees one (GW-1): holds, captures, voids, refunds, settlements, webhooks.

It is a partner, not a double of our code: it keeps its own books in SQLite, and those books, not
ours, say what was really charged.
"""
