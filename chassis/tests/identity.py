"""An identity provider of the tests' own: keys, tokens and the HTTP answer with the JWKS."""

import json
import time
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from caas_chassis.auth import TokenVerifier

ISSUER, AUDIENCE = "https://id.test", "caas"


class IdentityProvider:
    """Signs tokens; can be made unavailable, and counts how often its keys were fetched."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.rsa_key = rsa.generate_private_key(65537, 2048)
        self.available = True
        self.fetches = 0

    def token(self, *roles: str, key_id: str = "ec", algorithm: str = "ES256", **changes: Any) -> str:
        """A bearer header; a change of None removes the claim."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "sub": "c-1",
            "roles": list(roles),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": now + 60,
        } | changes
        present = {name: value for name, value in claims.items() if value is not None}
        signer = self.key if algorithm == "ES256" else self.rsa_key
        return f"Bearer {jwt.encode(present, signer, algorithm, headers={'kid': key_id})}"

    def verifier(self) -> TokenVerifier:
        """A verifier that asks this provider."""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        return TokenVerifier("https://id.test/jwks", ISSUER, AUDIENCE, client)

    def _answer(self, _: httpx.Request) -> httpx.Response:
        self.fetches += 1
        if not self.available:
            return httpx.Response(503)
        published = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        other = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa_key.public_key()))
        return httpx.Response(200, json={"keys": [published | {"kid": "ec"}, other | {"kid": "rsa"}]})
