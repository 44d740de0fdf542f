"""An identity provider with a key of its own, answering over HTTP inside the process; and tokens of it."""

import json
from datetime import timedelta

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

from caas_chassis.auth import TokenVerifier
from caas_chassis.clock import BusinessClock

ISSUER = "https://identity.example"
AUDIENCE = "caas"


class IdentityProvider:
    """Publishes its key as JWKS and signs tokens with it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def verifier(self) -> TokenVerifier:
        """What a service uses to verify tokens."""
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self._app()))
        return TokenVerifier(f"{ISSUER}/jwks.json", ISSUER, AUDIENCE, client)

    def bearer(self, subject: str, *roles: str) -> dict[str, str]:
        """The header of a caller."""
        claims = {
            "sub": subject,
            "roles": list(roles),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": BusinessClock().now() + timedelta(hours=5),
        }
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": "test"})
        return {"Authorization": f"Bearer {token}"}

    def _app(self) -> FastAPI:
        app = FastAPI()
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))

        @app.get("/jwks.json")
        async def jwks() -> dict[str, object]:
            return {"keys": [{**public, "kid": "test", "alg": "ES256", "use": "sig"}]}

        return app
