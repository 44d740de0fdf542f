"""What can be asked of the gateway, as its fault script names it."""

from enum import StrEnum

from caas_sandbox.faults import ANY


class Operation(StrEnum):
    """What a request asks of the gateway."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    LOOKUP = "lookup"
    SETTLEMENTS = "settlements"
    ANY = ANY
