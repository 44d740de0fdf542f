"""What reconciliation knows without a database: the books, their posting rules, and what is a discrepancy."""
