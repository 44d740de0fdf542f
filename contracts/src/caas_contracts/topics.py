"""Every topic, declared once: topic creation, documentation and the deployment's resources derive from here."""

from dataclasses import dataclass, field
from datetime import timedelta

_WEEK = timedelta(days=7)
_SERVICES = ("payments", "orders", "ota", "billing", "reconciliation")


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic.

    `key` names what the record key is: messages with one key stay in order. `owner` is the team that decides
    about the topic. `retention` bounds how long the broker keeps records; the producers' outboxes keep
    longer (at least 35 days) and can send any part of a topic again; None is for ever.
    """

    name: str
    key: str
    owner: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    partitions: int = 6
    retention: timedelta | None = _WEEK
    description: str = field(default="", compare=False)


def dead_letter_topic(topic: str, consumer: str) -> Topic:
    """The topic that receives copies of what `consumer` had to park from `topic`."""
    return Topic(
        name=f"{topic}.{consumer}.dlt",
        key="as in the source topic",
        owner=consumer,
        producers=(consumer,),
        consumers=(),
        partitions=1,
        retention=timedelta(days=35),
        description=f"copies of records of {topic} that {consumer} parked",
    )


PAYMENTS_COMMANDS = Topic(
    "caas.payments.commands.v1", "payment_id", "payments", ("orders", "billing", "reconciliation"), ("payments",),
    description="what may be asked of payments",
)  # fmt: skip
PAYMENTS_EVENTS = Topic(
    "caas.payments.events.v1", "payment_id", "payments", ("payments",), ("orders", "billing", "reconciliation"),
    description="what has happened to payments",
)  # fmt: skip
ORDERS_COMMANDS = Topic(
    "caas.orders.commands.v1", "purchase_id", "orders", ("partners",), ("orders",),
    description="what may be asked of orders: purchases placed and cancelled by other systems",
)  # fmt: skip
ORDERS_EVENTS = Topic(
    "caas.orders.events.v1", "purchase_id, subscription_id, order_id, vehicle_id or plan_code", "orders", ("orders",),
    ("ota", "billing", "reconciliation"),
    description="what has happened to purchases, subscriptions, vehicle orders and vehicles",
)  # fmt: skip
OTA_COMMANDS = Topic(
    "caas.ota.commands.v1", "vehicle_id", "ota", ("orders", "billing"), ("ota",),
    description="activations, cancellations and deactivations, in order per vehicle",
)  # fmt: skip
OTA_EVENTS = Topic(
    "caas.ota.events.v1", "activation_id", "ota", ("ota",), ("orders", "payments", "billing"),
    description="the results of activations and deactivations",
)  # fmt: skip
BILLING_COMMANDS = Topic(
    "caas.billing.commands.v1", "subject_id", "billing", ("orders",), ("billing",),
    description="what may be asked of billing",
)  # fmt: skip
BILLING_EVENTS = Topic(
    "caas.billing.events.v1", "subject_id, subscription_id or run_id", "billing", ("billing",),
    ("orders", "reconciliation"),
    description="invoices, credit notes, and what became of monthly invoices",
)  # fmt: skip
RECONCILIATION_COMMANDS = Topic(
    "caas.reconciliation.commands.v1", "subject_id", "reconciliation", ("payments",), ("reconciliation",),
    description="what may be asked of reconciliation",
)  # fmt: skip
RECONCILIATION_EVENTS = Topic(
    "caas.reconciliation.events.v1", "payment_id or case_id", "reconciliation", ("reconciliation",), (),
    description="settlement matches, discrepancy cases and finished runs",
)  # fmt: skip
GATEWAY_WEBHOOKS = Topic(
    "caas.gateway.webhooks.v1", "transaction_id", "payments", ("payments",), ("payments",),
    description="verified webhooks of the payment gateway, bridged onto the broker",
)  # fmt: skip
GATEWAY_SETTLEMENTS = Topic(
    "caas.gateway.settlements.v1", "transaction_id", "reconciliation", ("gateway",), (),
    description="settlement lines pushed by the gateway",
)  # fmt: skip
VEHICLE_USAGE = Topic(
    "caas.vehicle.usage.v1", "subscription_id or vehicle_id", "billing", ("vehicles",), ("billing",), partitions=12,
    description="usage of subscribed services",
)  # fmt: skip
OPERATIONS_ALERTS = Topic(
    "caas.operations.alerts.v1", "service", "operations", _SERVICES, ("orders",), partitions=1,
    description="what a person in operations has to look at",
)  # fmt: skip
AUDIT_ANCHORS = Topic(
    "caas.audit.anchors.v1", "service", "operations", ("payments",), ("reconciliation",), partitions=1, retention=None,
    description="heads of audit logs, kept for ever: the services may write here and nobody may delete",
)  # fmt: skip

TOPICS: tuple[Topic, ...] = (
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    OTA_COMMANDS,
    OTA_EVENTS,
    BILLING_COMMANDS,
    BILLING_EVENTS,
    RECONCILIATION_COMMANDS,
    RECONCILIATION_EVENTS,
    GATEWAY_WEBHOOKS,
    GATEWAY_SETTLEMENTS,
    VEHICLE_USAGE,
    OPERATIONS_ALERTS,
    AUDIT_ANCHORS,
)
