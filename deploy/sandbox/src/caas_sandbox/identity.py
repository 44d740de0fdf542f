"""An identity provider for development tokens: one ES256 key, made once and kept in the state folder.

Whoever asks gets a token; that is its purpose, so it is for loopback only. Token times are real
time, since verifiers do not know the business clock.
"""

import argparse
import base64
import hashlib
import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from fastapi import FastAPI
from jwt.algorithms import ECAlgorithm
from pydantic import BaseModel, Field

from caas_sandbox.clock import real_now
from caas_sandbox.serving import run_partner

AUDIENCE = "caas"
ALGORITHM = "ES256"
_KEY_FILE = "identity-key.pem"
_DAY_S = 24 * 3600


class Role(StrEnum):
    """What a token's bearer may be."""

    CUSTOMER = "customer"
    DEALER = "dealer"
    OPERATOR = "operator"
    PARTNER = "partner"


class TokenRequest(BaseModel):
    """Whose token, with which roles, valid for how many seconds."""

    subject: Annotated[str, Field(min_length=1, max_length=200)]
    roles: Annotated[list[Role], Field(min_length=1)]
    ttl_s: Annotated[int, Field(ge=1, le=30 * _DAY_S)] = _DAY_S


class Signer:
    """The provider's key: signs tokens and shows its public half as a JWK."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        self._key_id = _thumbprint(public)
        self.jwk = public | {"kid": self._key_id, "use": "sig", "alg": ALGORITHM}

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed token that names this key."""
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._key_id})


def load_or_make_key(state_dir: Path) -> ec.EllipticCurvePrivateKey:
    """The key of the state folder; tokens issued before a restart stay valid because it is kept."""
    file = state_dir / _KEY_FILE
    if file.exists():
        key = load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{file} does not hold an elliptic curve key; remove it to make a new one")
        return key
    made = ec.generate_private_key(ec.SECP256R1())
    state_dir.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed, so that a process killed here does not leave half a key.
    aside = file.with_suffix(".new")
    aside.touch(mode=0o600)
    aside.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    aside.replace(file)
    return made


def build_app(signer: Signer, issuer: str) -> FastAPI:
    """The provider's HTTP application; `issuer` is its base URL as verifiers know it."""
    app = FastAPI(title="CaaS sandbox: identity provider")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/jwks.json")
    async def jwks() -> dict[str, Any]:
        return {"keys": [signer.jwk]}

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks.json",
            "token_endpoint": f"{issuer}/token",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    @app.post("/token")
    async def token(request: TokenRequest) -> dict[str, Any]:
        now = real_now()
        claims = {
            "iss": issuer,
            "aud": AUDIENCE,
            "sub": request.subject,
            "roles": request.roles,
            "iat": now,
            "exp": now + timedelta(seconds=request.ttl_s),
            "jti": str(uuid4()),
        }
        return {"access_token": signer.sign(claims), "token_type": "Bearer", "expires_in": request.ttl_s}

    return app


def _thumbprint(public: dict[str, str]) -> str:
    """RFC 7638: the same key always has the same id."""
    required = {name: public[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def main() -> None:
    """Entry point of `python -m caas_sandbox.identity`."""
    parser = argparse.ArgumentParser(prog="caas_sandbox.identity", description="Sandbox identity provider")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True, help="where the key is kept")
    parser.add_argument("--issuer", help="base URL in the tokens; http://127.0.0.1:<port> unless given")
    arguments = parser.parse_args()
    issuer = (arguments.issuer or f"http://127.0.0.1:{arguments.port}").rstrip("/")
    run_partner(build_app(Signer(load_or_make_key(arguments.state_dir)), issuer), arguments.port)


if __name__ == "__main__":
    main()
