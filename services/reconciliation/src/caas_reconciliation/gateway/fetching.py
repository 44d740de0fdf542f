"""One question to a partner, and every way in which it can end. Reading changes nothing, so it may be repeated."""

from collections.abc import Mapping

import httpx

from caas_reconciliation.gateway.port import Unavailable, Unusable


async def fetched(
    client: httpx.AsyncClient, path: str, parameters: Mapping[str, str], headers: Mapping[str, str]
) -> bytes | Unavailable | Unusable:
    """The body of a success. Never raises for what a partner can do."""
    try:
        response = await client.get(path, params=dict(parameters), headers=dict(headers))
    except httpx.HTTPError as error:
        return Unavailable(f"no answer: {type(error).__name__}")
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.status_code >= 500:
        return Unavailable(f"status {response.status_code}", _retry_after_s(response))
    if response.status_code != httpx.codes.OK:
        return Unusable(f"status {response.status_code}")
    return response.content


def _retry_after_s(response: httpx.Response) -> float | None:
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() else None
