"""Who calls: a bearer JWT, verified against the identity provider's JWKS, and the roles it carries."""

import asyncio
from dataclasses import dataclass
from typing import Final

import httpx
import jwt
import structlog

from caas_chassis.cards import holds_card_data
from caas_chassis.errors import Problem

ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")
KEYS_LIFETIME_S: Final = 300.0
REFRESH_PAUSE_S: Final = 5.0
ROLES: Final = frozenset({"customer", "dealer", "operator", "partner"})

_log = structlog.get_logger(__name__)


class Unauthenticated(Problem):
    """No valid token."""

    status = 401
    code = "unauthenticated"
    title = "A valid bearer token is needed"


class Forbidden(Problem):
    """A valid token without the role that is needed."""

    status = 403
    code = "forbidden"
    title = "Your role does not allow this"


class IdentityUnavailable(Problem):
    """The identity provider's keys cannot be fetched now."""

    status = 503
    code = "identity_unavailable"
    title = "Tokens cannot be verified at the moment"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. For customers `subject` is the customer id: they see only what is theirs."""

    subject: str
    roles: frozenset[str]

    @property
    def actor(self) -> str:
        """How audit rows name this caller."""
        return f"{'+'.join(sorted(self.roles))}:{self.subject}"

    @property
    def is_staff(self) -> bool:
        """Operators see everything."""
        return "operator" in self.roles


class TokenVerifier:
    """Verifies tokens; keys are fetched once and again when an unknown one is used."""

    def __init__(self, jwks_url: str, issuer: str, audience: str, client: httpx.AsyncClient | None = None) -> None:
        self._jwks_url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._client = client or httpx.AsyncClient(timeout=5.0)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._good_until = self._ask_again_at = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, authorization: str | None) -> Principal:
        """The principal of an `Authorization` header. Raises Unauthenticated or IdentityUnavailable."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send `Authorization: Bearer <token>`")
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,  # With the algorithm it was published for: a token cannot choose another one.
                algorithms=[*ALGORITHMS],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not accepted: {type(error).__name__}") from None
        roles = claims.get("roles", [])
        given = frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()
        if holds_card_data(str(claims["sub"])):  # It would be kept as the actor of what the caller does (GW-6).
            raise Unauthenticated("the token's subject is not accepted")
        return Principal(str(claims["sub"]), given & ROLES)

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()

    async def _key(self, key_id: str) -> jwt.PyJWK:
        now = asyncio.get_running_loop().time()
        if (now >= self._good_until or key_id not in self._keys) and now >= self._ask_again_at:
            async with self._lock:
                if now >= self._ask_again_at:
                    await self._fetch()
        if not self._keys:
            raise IdentityUnavailable("try again in a moment")
        if key_id not in self._keys:
            raise Unauthenticated("the token is signed with a key that the identity provider does not publish")
        return self._keys[key_id]

    async def _fetch(self) -> None:
        try:
            response = await self._client.get(self._jwks_url)
            response.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(response.json()).keys
        except (httpx.HTTPError, ValueError, AttributeError, jwt.PyJWTError) as error:
            _log.warning("jwks_unavailable", error=type(error).__name__)
        else:
            self._keys = {str(key.key_id): key for key in keys}
            self._good_until = asyncio.get_running_loop().time() + KEYS_LIFETIME_S
        # After a failure the keys we have go on being good; asking at each request would make all of them slow.
        self._ask_again_at = asyncio.get_running_loop().time() + REFRESH_PAUSE_S
