"""Why an activation or deactivation exists; its results continue that story and its trace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The causing message, the business story and the W3C trace context."""

    cause_id: str
    correlation_id: str
    traceparent: str | None = None
