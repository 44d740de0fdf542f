"""What is whose over HTTP: customers have their own, staff may ask for anybody's, and the rest does not exist."""

from typing import Protocol

from caas_chassis.auth import Principal
from caas_chassis.errors import Problem


class _Owned(Protocol):
    @property
    def customer_id(self) -> str: ...


def owner_asked_for(principal: Principal, customer_id: str | None) -> str:
    """Whose things are listed: operators name the customer, everybody else gets their own."""
    return customer_id if principal.is_staff and customer_id else principal.subject


def visible_to[T: _Owned](principal: Principal, thing: T | None, missing: Problem) -> T:
    """The thing. Raises `missing` when there is none, and alike when it is somebody else's."""
    if thing is None or not (principal.is_staff or thing.customer_id == principal.subject):
        raise missing
    return thing
