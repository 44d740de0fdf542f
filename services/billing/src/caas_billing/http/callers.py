"""Who calls, and whose documents the caller may see."""

from typing import Annotated

from fastapi import Depends, Query

from caas_chassis.web import Principal, requires

Reader = Annotated[Principal, Depends(requires("customer", "operator"))]
Operator = Annotated[Principal, Depends(requires("operator"))]
Limit = Annotated[int, Query(ge=1, le=200)]


def visible_to(principal: Principal) -> str | None:
    """Whose documents the caller may see: None means everyone's."""
    return None if principal.is_staff else principal.subject
