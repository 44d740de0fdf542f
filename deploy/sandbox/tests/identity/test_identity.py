"""Tokens verify against the published key, say what was asked, and survive a killed provider."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

type StartPartner = Callable[..., tuple[subprocess.Popen[str], httpx.Client]]

ISSUER = "https://identity.example"


@pytest.fixture(scope="module")
def identity(start_partner: StartPartner, tmp_path_factory: pytest.TempPathFactory) -> httpx.Client:
    _, http = start_partner("identity", tmp_path_factory.mktemp("identity"), "--issuer", ISSUER)
    return http


def a_token(http: httpx.Client, **changes: Any) -> str:
    answer = http.post("/token", json={"subject": "customer-1", "roles": ["customer"]} | changes)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def verified(http: httpx.Client, token: str, *, audience: str = "caas") -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_json(json.dumps(http.get("/jwks.json").json()))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], audience=audience, issuer=ISSUER)
    return claims


def test_a_token_verifies_and_says_who_and_what(identity: httpx.Client) -> None:
    claims = verified(identity, a_token(identity, roles=["customer", "operator"], ttl_s=60))
    assert (claims["sub"], claims["roles"]) == ("customer-1", ["customer", "operator"])
    assert claims["exp"] - claims["iat"] == 60


def test_a_token_is_for_our_audience_only(identity: httpx.Client) -> None:
    with pytest.raises(jwt.InvalidAudienceError):
        verified(identity, a_token(identity), audience="somebody-else")


def test_a_changed_token_does_not_verify(identity: httpx.Client) -> None:
    header, _, signature = a_token(identity).split(".")
    _, others_claims, _ = a_token(identity, subject="customer-2").split(".")
    with pytest.raises(jwt.InvalidSignatureError):
        verified(identity, f"{header}.{others_claims}.{signature}")


def test_the_answer_says_how_long_the_token_lasts(identity: httpx.Client) -> None:
    answer = identity.post("/token", json={"subject": "s", "roles": ["dealer"], "ttl_s": 90}).json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 90)


@pytest.mark.parametrize("changes", [{"roles": ["king"]}, {"roles": []}, {"subject": ""}, {"ttl_s": 0}, {"ttl_s": -5}])
def test_what_is_no_request_gets_no_token(identity: httpx.Client, changes: dict[str, Any]) -> None:
    answer = identity.post("/token", json={"subject": "s", "roles": ["customer"]} | changes)
    assert answer.status_code == 422


def test_the_configuration_leads_to_the_keys(identity: httpx.Client) -> None:
    configuration = identity.get("/.well-known/openid-configuration").json()
    assert configuration["issuer"] == ISSUER
    assert configuration["jwks_uri"] == f"{ISSUER}/jwks.json"
    assert identity.get("/health").status_code == 200


def test_the_published_key_holds_no_private_part(identity: httpx.Client) -> None:
    (key,) = identity.get("/jwks.json").json()["keys"]
    assert "d" not in key
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")


def test_a_token_stays_valid_when_the_provider_is_killed(start_partner: StartPartner, tmp_path: Path) -> None:
    process, http = start_partner("identity", tmp_path, "--issuer", ISSUER)
    token = a_token(http)
    process.kill()
    process.wait(10)
    _, http = start_partner("identity", tmp_path, "--issuer", ISSUER)
    assert verified(http, token)["sub"] == "customer-1"


def test_the_key_file_is_for_its_owner_only(start_partner: StartPartner, tmp_path: Path) -> None:
    start_partner("identity", tmp_path)
    assert (tmp_path / "identity-key.pem").stat().st_mode & 0o077 == 0
