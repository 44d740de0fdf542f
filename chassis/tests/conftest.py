"""Fixtures of the chassis' tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.topicadmin import all_topics, create_topics
from chassis.tests.running import migrate
from chassis.tests.toy_service import a_service

# The default renders every traceback for a terminal, which takes seconds where failing is what is tested.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
)


@pytest.fixture
async def toy(make_database: MakeDatabase) -> AsyncIterator[Harness]:
    """The toy on a database of its own, without a broker."""
    async with Harness(a_service(), await make_database("toy", migrate)) as harness:
        yield harness


@pytest.fixture(scope="session")
def broker(kafka_bootstrap: str) -> str:
    """A broker with all declared topics, shared by all tests: use keys of your own."""
    asyncio.run(create_topics(kafka_bootstrap, all_topics()))
    return kafka_bootstrap
