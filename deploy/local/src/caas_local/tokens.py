"""Development tokens from the sandbox's identity provider."""

from collections.abc import Sequence

import httpx

from caas_local.layout import Layout


async def fetch_token(layout: Layout, subject: str, roles: Sequence[str], *, ttl_s: int = 86_400) -> str:
    """A bearer token for this subject. Raises httpx.HTTPError when the identity provider does not answer."""
    async with httpx.AsyncClient(timeout=5.0) as client:
        return await fetch_token_with(client, layout, subject, roles, ttl_s=ttl_s)


async def fetch_token_with(
    client: httpx.AsyncClient, layout: Layout, subject: str, roles: Sequence[str], *, ttl_s: int = 86_400
) -> str:
    """The same with a client that is there already: making one costs more than the token."""
    body = {"subject": subject, "roles": list(roles), "ttl_s": ttl_s}
    response = await client.post(f"{layout.url('identity')}/token", json=body)
    response.raise_for_status()
    return str(response.json()["access_token"])
