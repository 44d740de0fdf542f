"""`python -m caas_billing serve` and `python -m caas_billing migrate`."""

from caas_billing.app import main

main()
