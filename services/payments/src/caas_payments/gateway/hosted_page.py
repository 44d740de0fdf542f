"""The gateway's page where a customer confirms a payment (PAY-9): only an address that a browser can be sent to."""

from typing import Final

_LONGEST: Final = 2000


def hosted_page(url: str | None) -> str | None:
    """The address, or None when it is none that customers may be led to."""
    if url is None or len(url) > _LONGEST or not url.startswith(("https://", "http://")):
        return None
    return url if url.isprintable() and " " not in url else None
