"""`python -m caas_local`: up, status, clock, token, down, demo."""

from caas_local.commands import app

if __name__ == "__main__":
    app()
