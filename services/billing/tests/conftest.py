"""Fixtures of billing's tests."""

from collections.abc import AsyncIterator

import pytest

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from services.billing.tests.running import MailSink, a_billing


@pytest.fixture
async def billing_and_mail(make_database: MakeDatabase) -> AsyncIterator[tuple[Harness, MailSink]]:
    """Billing on a fresh database, and the mail server it sends to."""
    async with a_billing(make_database) as both:
        yield both


@pytest.fixture
def billing(billing_and_mail: tuple[Harness, MailSink]) -> Harness:
    """Billing on a fresh database."""
    return billing_and_mail[0]


@pytest.fixture
def mail(billing_and_mail: tuple[Harness, MailSink]) -> MailSink:
    """The mail server that `billing` sends to."""
    return billing_and_mail[1]
