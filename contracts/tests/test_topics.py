"""Topics are declared once, and every message travels on a declared one."""

from datetime import timedelta

from caas_contracts import MESSAGES, TOPICS, topics
from caas_contracts.streams import COMMAND_TOPICS
from caas_contracts.topics import Topic, dead_letter_topic


def test_every_declared_topic_is_listed_once() -> None:
    declared = [value for value in vars(topics).values() if isinstance(value, Topic)]
    assert sorted(declared, key=lambda topic: topic.name) == sorted(TOPICS, key=lambda topic: topic.name)
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_every_message_with_a_topic_has_a_declared_one_and_a_key_field() -> None:
    for kind in MESSAGES.values():
        assert kind.KEY in kind.model_fields
        assert getattr(kind, "TOPIC", TOPICS[0]) in TOPICS


def test_every_service_can_be_asked_to_send_again() -> None:
    assert set(COMMAND_TOPICS) == {"payments", "orders", "ota", "billing", "reconciliation"}


def test_a_dead_letter_topic_belongs_to_its_consumer_and_keeps_longer() -> None:
    letters = dead_letter_topic("caas.ota.commands.v1", "ota")
    assert (letters.name, letters.owner, letters.retention) == (
        "caas.ota.commands.v1.ota.dlt",
        "ota",
        timedelta(days=35),
    )
