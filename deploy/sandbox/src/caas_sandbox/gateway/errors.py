"""Problem answers (RFC 9457) of the gateway; each has a stable code and its HTTP status."""

from typing import ClassVar


class Problem(Exception):
    """An answer that says no; never holds a payment method or anything else that could be a card number."""

    status: ClassVar[int] = 400

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def body(self) -> dict[str, object]:
        """The members of the problem document."""
        return {
            "type": f"urn:caas-sandbox:gateway:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }


class InvalidRequest(Problem):
    """The request itself is wrong; repeating it changes nothing."""

    status = 400


class Unauthorized(Problem):
    """The API key is missing or wrong."""

    status = 401


class CaptureFailed(Problem):
    """The capture was refused for good by the customer's bank."""

    status = 402


class NotFound(Problem):
    """There is no such object."""

    status = 404


class StateForbids(Problem):
    """The transaction's state does not allow the operation."""

    status = 409


class KeyExpired(Problem):
    """The idempotency key was used so long ago that its answer is not kept any more."""

    status = 409


class IdempotencyConflict(Problem):
    """The idempotency key was used before for another request."""

    status = 422
