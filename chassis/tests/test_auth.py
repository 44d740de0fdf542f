"""Only tokens of the identity provider, for us, in time, give a principal and its roles."""

import time
from collections.abc import Callable

import jwt
import pytest

from caas_chassis.auth import REFRESH_PAUSE_S, IdentityUnavailable, Unauthenticated
from chassis.tests.identity import AUDIENCE, ISSUER, IdentityProvider

identity = IdentityProvider()
CLAIMS = {"sub": "c-1", "roles": ["operator"], "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600}


def unsigned() -> str:
    return f"Bearer {jwt.encode(CLAIMS, '', 'none', headers={'kid': 'ec'})}"


def signed_with_a_secret() -> str:
    return f"Bearer {jwt.encode(CLAIMS, 'secret' * 8, 'HS256', headers={'kid': 'ec'})}"


def altered() -> str:
    head, body, signature = identity.token("customer").split(".")
    other = identity.token("operator").split(".")[1]
    return ".".join([head, other if other != body else body[::-1], signature])


REFUSED: dict[str, Callable[[], str | None]] = {
    "no header": lambda: None,
    "another scheme": lambda: "Basic YTpi",
    "no token": lambda: "Bearer ",
    "no JWT": lambda: "Bearer abc",
    "not ASCII": lambda: "Bearer ñ.ñ.ñ",
    "unsigned": unsigned,
    "a shared secret": signed_with_a_secret,
    "altered": altered,
    "expired": lambda: identity.token("operator", exp=int(time.time()) - 5),
    "never expires": lambda: identity.token("operator", exp=None),
    "another audience": lambda: identity.token("operator", aud="other"),
    "no audience": lambda: identity.token("operator", aud=None),
    "another issuer": lambda: identity.token("operator", iss="https://evil.test"),
    "no subject": lambda: identity.token("operator", sub=None),
    "a foreign key": lambda: IdentityProvider().token("operator"),
    "an unknown key": lambda: identity.token("operator", key_id="other"),
    "a key used with another algorithm": lambda: identity.token("operator", algorithm="RS256"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_is_refused(name: str) -> None:
    with pytest.raises(Unauthenticated):
        await identity.verifier().verify(REFUSED[name]())


async def test_a_good_token_gives_subject_and_known_roles() -> None:
    principal = await identity.verifier().verify(identity.token("customer", "dealer", "root"))
    assert (principal.subject, sorted(principal.roles)) == ("c-1", ["customer", "dealer"])


@pytest.mark.parametrize("roles", ["operator", None, {"operator": 1}, [["operator"]]])
async def test_roles_of_another_shape_are_none(roles: object) -> None:
    principal = await identity.verifier().verify(identity.token(roles=roles))
    assert principal.roles == frozenset()


async def test_an_rsa_key_is_accepted_with_its_own_algorithm() -> None:
    principal = await identity.verifier().verify(identity.token("dealer", key_id="rsa", algorithm="RS256"))
    assert principal.actor == "dealer:c-1"


async def test_keys_are_fetched_once_and_not_for_every_unknown_one() -> None:
    provider = IdentityProvider()
    verifier = provider.verifier()
    for _ in range(5):
        await verifier.verify(provider.token("customer"))
        with pytest.raises(Unauthenticated):
            await verifier.verify(provider.token("customer", key_id="unknown"))
    assert provider.fetches == 1


async def test_without_keys_nobody_is_let_in_and_the_provider_is_not_stormed() -> None:
    provider = IdentityProvider()
    provider.available = False
    verifier = provider.verifier()
    for _ in range(5):
        with pytest.raises(IdentityUnavailable):
            await verifier.verify(provider.token("customer"))
    assert provider.fetches == 1


async def test_known_keys_go_on_being_good_while_the_provider_is_away() -> None:
    provider = IdentityProvider()
    verifier = provider.verifier()
    await verifier.verify(provider.token("customer"))
    provider.available = False
    verifier._good_until = verifier._ask_again_at = 0.0
    for _ in range(3):
        await verifier.verify(provider.token("customer"))
    assert (provider.fetches, REFRESH_PAUSE_S > 1) == (2, True)
