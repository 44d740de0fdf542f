"""Plain SQL migrations of the reconciliation database, applied by the chassis in name order."""
