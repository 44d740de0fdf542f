"""`python -m caas_reconciliation serve|migrate`."""

from caas_reconciliation.app import main

if __name__ == "__main__":
    main()
