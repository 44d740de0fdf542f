"""What only a payment gateway can answer with."""

from caas_sandbox.problems import Problem


class CaptureFailed(Problem):
    """The capture was refused for good by the customer's bank."""

    status = 402


class RefundRefused(Problem):
    """The refund was refused for now, as when the merchant's balance does not cover it."""

    status = 402
