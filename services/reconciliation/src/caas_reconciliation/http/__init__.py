"""The operators' HTTP API: runs and reports, cases, ledger, expectations. Nobody else has access."""
