"""Real servers without an installation: Apache Kafka and PostgreSQL run from packages.

Owns starting, stopping and finding again one Kafka broker and one PostgreSQL server per state
directory. Both listen on 127.0.0.1 only; both keep what they stored when they are started again.
"""

from caas_chassis.embedded.errors import EmbeddedServerError
from caas_chassis.embedded.kafka import EmbeddedKafka
from caas_chassis.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "EmbeddedServerError"]
