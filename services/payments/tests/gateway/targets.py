"""The gateways that the contract suite is run against, and what each of them cannot show, with the reason."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn

import pytest
from pydantic import SecretStr

from caas_payments.app import gateway_of
from caas_payments.gateway import PaymentGateway
from caas_payments.settings import GatewayKind, PaymentsSettings
from services.payments.tests.gateway.programs import Missing, required
from services.payments.tests.sandbox_gateway import API_KEY

TEST_KEY_VARIABLE: Final = "CAAS_STRIPE_TEST_KEY"
PATIENCE_S: Final = 20.0
"""Longest wait for an answer where no silence is expected; the machine may be busy."""


class Capability(StrEnum):
    """What a gateway must do, as docs/architecture/gateways.md lists it."""

    HOLD = "authorize holds the amount"
    SAME_KEY = "the same key twice has one effect"
    OTHER_AMOUNT = "the same key with another amount is not trusted"
    DECLINE = "a decline carries its reason"
    NO_METHOD = "an unknown payment method is refused"
    PENDING = "a customer's own step leaves the payment pending"
    ACTION = "it names the page of that step, and can be asked to give it up"
    SALE = "a sale takes the amount in one step"
    CAPTURE = "capture takes what is held"
    CAPTURE_ONCE = "a second capture is refused"
    PARTIAL_CAPTURE = "a partial capture tells what was taken"
    VOID = "void releases the hold, once"
    VOID_TAKEN = "void after capture is refused"
    CAPTURE_RELEASED = "capture after void is refused"
    REFUND = "refunds add up"
    REFUND_LIMIT = "no refund passes what was captured"
    FOUND = "a look-up finds what happened"
    NOTHING = "a look-up of nothing finds nothing"
    MANY = "20 payments at once stay apart"
    KEY = "a key that is not accepted charges nothing"
    FAULTS = "faults of the network are told apart"
    ONE_EFFECT = "a repetition after a silence has one effect"
    VALID = "requests are checked against Stripe's OpenAPI"


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway to run the suite against. `url` is empty for one in the test's process."""

    name: str
    kind: GatewayKind
    approved: str
    declined: str
    pending: str = ""
    action: str = ""
    return_url: str = ""
    unknown_method: str = ""
    key: str = ""
    cannot: Mapping[Capability, str] = field(default_factory=dict)

    def gateway_at(self, url: str, *, key: str | None = None, timeout_s: float = PATIENCE_S) -> PaymentGateway:
        """The adapter as a deployment builds it."""
        settings = PaymentsSettings(
            database_url="postgresql://unused",
            gateway_kind=self.kind,
            gateway_url=url,
            gateway_api_key=SecretStr(self.key if key is None else key),
            gateway_timeout_s=timeout_s,
            gateway_connect_timeout_s=10.0,
            return_url=self.return_url,
        )
        return gateway_of(settings)


_NOT_OPENAPI: Final = "it has checks of its own"
_IN_PROCESS: Final = "there is no network to the test's own process"
_NO_CARDS: Final = "only a card number makes it ask for authentication, and none enters here (GW-6)"
_STATELESS: Final = "it keeps no state: every answer is a fixture"

SANDBOX: Final = Target(
    name="sandbox",
    kind=GatewayKind.CAAS,
    approved="tok_approved",
    declined="tok_declined:customer-7",
    pending="tok_pending",
    action="tok_requires_action",
    unknown_method="tok_never_heard_of",
    key=API_KEY,
    cannot={Capability.VALID: "it does not speak Stripe's API"},
)

IN_PROCESS: Final = Target(
    name="in_process",
    kind=GatewayKind.CAAS,
    approved="tok_approved",
    declined="tok_declined:customer-7",
    pending="tok_pending",
    action="tok_requires_action",
    cannot={
        Capability.NO_METHOD: "it takes every token that it does not know for a good one",
        Capability.OTHER_AMOUNT: "it answers a known key with what it did, whatever is asked",
        Capability.FAULTS: _IN_PROCESS,
        Capability.ONE_EFFECT: _IN_PROCESS,
        Capability.KEY: _IN_PROCESS,
        Capability.VALID: "it does not speak Stripe's API",
    },
)

LOCALSTRIPE: Final = Target(
    name="localstripe",
    kind=GatewayKind.STRIPE,
    approved="pm_card_visa",
    declined="pm_card_chargeCustomerFail",
    unknown_method="pm_never_heard_of",
    key="sk_test_contract",
    cannot={
        Capability.SAME_KEY: "it ignores idempotency keys: a repeated creation creates again",
        Capability.OTHER_AMOUNT: "it ignores idempotency keys",
        Capability.ONE_EFFECT: "it ignores idempotency keys",
        Capability.PENDING: _NO_CARDS,
        Capability.ACTION: _NO_CARDS,
        Capability.PARTIAL_CAPTURE: "it books the whole amount and a refund of the rest, and tells no amount received",
        Capability.CAPTURE_RELEASED: "it captures the charge of a canceled PaymentIntent",
        Capability.REFUND_LIMIT: "it adds refunds up without a limit",
        Capability.VALID: _NOT_OPENAPI,
    },
)

STRIPE_MOCK: Final = Target(
    name="stripe_mock",
    return_url="https://caas.example/confirmed",
    kind=GatewayKind.STRIPE,
    approved="pm_card_visa",
    declined="pm_card_chargeCustomerFail",
    unknown_method="pm_never_heard_of",
    key="sk_test_contract",
    cannot=dict.fromkeys(
        frozenset(Capability) - {Capability.NOTHING, Capability.KEY, Capability.FAULTS, Capability.VALID},
        _STATELESS,
    ),
)

STRIPE_TEST_MODE: Final = Target(
    name="stripe_test_mode",
    return_url="https://caas.example/confirmed",
    kind=GatewayKind.STRIPE,
    approved="pm_card_visa",
    declined="pm_card_chargeCustomerFail",
    pending="pm_card_authenticationRequired",
    action="pm_card_authenticationRequired",
    unknown_method="pm_never_heard_of",
    key=os.environ.get(TEST_KEY_VARIABLE, ""),
    cannot={
        Capability.FAULTS: "the fault proxy cannot stand in an encrypted connection",
        Capability.ONE_EFFECT: "the fault proxy cannot stand in an encrypted connection",
        Capability.VALID: "it is the real thing",
    },
)

TARGETS: Final = (SANDBOX, IN_PROCESS, LOCALSTRIPE, STRIPE_MOCK, STRIPE_TEST_MODE)


def shows(capability: Capability, *kinds: str) -> pytest.MarkDecorator:
    """Run a test against every target, and for every kind; where one cannot show it, the report says once why."""
    names = "target, kind" if kinds else "target"
    rows = [
        pytest.param(*row, id="-".join([target.name, *row[1:]]), marks=_marks(target, capability))
        for target in TARGETS
        for row in _rows(target, capability, kinds)
    ]
    return pytest.mark.parametrize(names, rows, indirect=["target"])


def _rows(target: Target, capability: Capability, kinds: tuple[str, ...]) -> list[tuple[Target, str] | tuple[Target]]:
    if not kinds:
        return [(target,)]
    return [(target, kind) for kind in (kinds[:1] if capability in target.cannot else kinds)]


def _marks(target: Target, capability: Capability) -> list[pytest.MarkDecorator]:
    if capability in target.cannot:
        reason = f"{target.name} cannot show that {capability.value}: {target.cannot[capability]}"
        return [pytest.mark.skip(reason=reason)]
    if target is STRIPE_TEST_MODE and not target.key:
        return [pytest.mark.skip(reason=f"Stripe's test mode needs a secret key in {TEST_KEY_VARIABLE}")]
    return []


def give_up(missing: Missing) -> NoReturn:
    """A program that cannot be had fails the test in CI, and skips it with its reason elsewhere."""
    if required():
        pytest.fail(str(missing))
    pytest.skip(str(missing))
