"""The reconciliation service: settlement feeds, matching, discrepancy cases and the double-entry ledger."""
