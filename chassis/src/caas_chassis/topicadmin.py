"""Creates the declared topics on a broker; services never create any."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from caas_contracts.topics import TOPICS, Topic, dead_letter_topic


def all_topics() -> tuple[Topic, ...]:
    """The declared topics and, for each of their consumers and owners, its dead-letter topic."""
    letters = {
        dead_letter_topic(topic.name, consumer) for topic in TOPICS for consumer in (*topic.consumers, topic.owner)
    }
    return (*TOPICS, *sorted(letters, key=lambda topic: topic.name))


async def create_topics(bootstrap_servers: str, topics: Sequence[Topic], *, replication_factor: int = 1) -> list[str]:
    """Create the missing ones; returns their names. Raises KafkaError when the broker refuses or is away."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=20_000)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        await admin.create_topics(
            [
                NewTopic(
                    topic.name,
                    topic.partitions,
                    replication_factor,
                    topic_configs={
                        "retention.ms": str(int(topic.retention.total_seconds() * 1000) if topic.retention else -1),
                        "cleanup.policy": "delete",
                        "max.message.bytes": str(1024 * 1024),
                    },
                )
                for topic in missing
            ]
        )
    finally:
        await admin.close()
    return [topic.name for topic in missing]
