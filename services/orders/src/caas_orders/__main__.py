"""`python -m caas_orders serve|migrate`."""

from caas_orders.app import main

if __name__ == "__main__":
    main()
