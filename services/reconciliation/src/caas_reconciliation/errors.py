"""Everything that reconciliation refuses, with stable codes; a 500 means a bug."""

from typing import ClassVar

from caas_chassis.errors import Problem


class UnbalancedEntry(ValueError):
    """A posting rule made an entry whose lines do not add up to zero: a bug, never a refusal."""


class UnknownRun(Problem):
    """404."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "run_not_found"
    title: ClassVar[str] = "There is no such run"


class RunNotFinished(Problem):
    """409: a report exists once the run is completed."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "run_not_completed"
    title: ClassVar[str] = "The run has no report"


class UnknownCase(Problem):
    """404."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "case_not_found"
    title: ClassVar[str] = "There is no such case"


class CaseForbids(Problem):
    """409: the case's state has no such transition."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "case_state_forbids"
    title: ClassVar[str] = "The case does not allow that"
