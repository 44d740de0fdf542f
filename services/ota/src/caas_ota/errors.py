"""What ota refuses over HTTP."""

from caas_chassis.errors import Problem


class NotFound(Problem):
    """Asked for something that does not exist, or that belongs to another customer."""

    status = 404
    code = "not_found"
    title = "There is no such thing"
