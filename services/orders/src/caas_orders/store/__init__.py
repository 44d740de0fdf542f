"""The tables of orders, in plain SQL: one statement per function, whole batches at a time."""
