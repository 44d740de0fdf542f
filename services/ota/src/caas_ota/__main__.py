"""`python -m caas_ota serve|migrate`."""

from caas_ota.app import main

if __name__ == "__main__":
    main()
