"""The rules of payments: pure values and decisions, without a database, a clock or a partner."""
