"""The payments service over HTTP in the test's process, with tokens of an identity provider of the test's own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from caas_chassis.auth import TokenVerifier
from caas_payments.app import build
from caas_payments.settings import PaymentsSettings
from services.payments.tests.in_process_gateway import InProcessGateway

ISSUER: Final = "https://identity.test"
SECRET: Final = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
PREVIOUS_SECRET: Final = "whsec_cHJldmlvdXMtcHJldmlvdXMtcHJldg=="

_KEY: Final = ec.generate_private_key(ec.SECP256R1())


def a_token(subject: str, *roles: str) -> dict[str, str]:
    """The Authorization header of a caller."""
    claims = {
        "iss": ISSUER,
        "aud": "caas",
        "sub": subject,
        "roles": list(roles),
        "iat": datetime.now(UTC),
        "exp": datetime.now(UTC) + timedelta(hours=5),
    }
    token = jwt.encode(claims, _KEY, algorithm="ES256", headers={"kid": "test"})
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def serving(
    database_url: str, gateway: InProcessGateway, *, secret: str = SECRET, previous_secret: str = PREVIOUS_SECRET
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application; its loops do not run, the harness does their work."""
    settings = PaymentsSettings(
        database_url=database_url,
        webhook_secret=SecretStr(secret),
        webhook_previous_secret=SecretStr(previous_secret),
    )
    app = build(settings, gateway)
    provider = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=_jwks())))
    app.state.tokens = TokenVerifier(f"{ISSUER}/jwks.json", ISSUER, "caas", provider)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as client:
        yield client
    await app.state.runtime.database.close()
    await provider.aclose()


def _jwks() -> dict[str, Any]:
    key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(_KEY.public_key()))
    return {"keys": [{**key, "kid": "test", "alg": "ES256", "use": "sig"}]}
