"""`python -m caas_payments serve|migrate`."""

from caas_payments.app import main

main()
