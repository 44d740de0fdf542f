"""The demo: sells services over every outcome, moves time to settlement, reconciles, and compares all books."""

from caas_local.demo.play import play

__all__ = ["play"]
