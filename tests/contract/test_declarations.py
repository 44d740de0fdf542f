"""What the services really read is what the topics declare; each message is published by a declared producer."""

from pathlib import Path

import pytest

from caas_contracts.topics import TOPICS
from caas_local.layout import SERVICES, Layout
from tests.chaos.points import build_services


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_the_topics_that_name_it_and_no_others(name: str, tmp_path: Path) -> None:
    service = build_services(Layout.of(tmp_path, fixed_ports=False))[name]
    declared = {topic.name for topic in TOPICS if name in topic.consumers}
    assert {topic.name for topic in service.reads} - declared <= {f"caas.{name}.commands.v1"}
    assert declared <= {topic.name for topic in service.reads}


def test_every_handled_message_travels_on_a_declared_topic(tmp_path: Path) -> None:
    names = {topic.name for topic in TOPICS}
    for service in build_services(Layout.of(tmp_path, fixed_ports=False)).values():
        assert {message.TOPIC.name for message in service.handlers} <= names
