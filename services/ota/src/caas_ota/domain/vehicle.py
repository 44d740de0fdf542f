"""A vehicle as ota knows it: its key, the rising counter of its commands, what it last reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from caas_contracts.ota import ConfigurationValue

type Configuration = Mapping[str, ConfigurationValue]


@dataclass(frozen=True, slots=True)
class Vehicle:
    """`public_key` is base64 of the raw Ed25519 key, None until the vehicle is registered."""

    vehicle_id: str
    customer_id: str | None = None
    model: str | None = None
    public_key: str | None = None
    counter: int = 0
    arrivals: int = 0
    reported: Configuration = field(default_factory=dict)
    reported_at: datetime | None = None

    @property
    def is_registered(self) -> bool:
        """Whether its acknowledgements can be verified."""
        return self.public_key is not None

    def registered(self, *, customer_id: str, model: str, public_key: str) -> Self:
        """The vehicle with its owner and key, which may replace earlier ones."""
        return replace(self, customer_id=customer_id, model=model, public_key=public_key)

    def with_arrival(self) -> Self:
        """One more command in its queue."""
        return replace(self, arrivals=self.arrivals + 1)

    def with_dispatch(self) -> Self:
        """One more command on its way: the counter rises (charge fence)."""
        return replace(self, counter=self.counter + 1)

    def reporting(self, configuration: Configuration, at: datetime) -> Self:
        """What it says its configuration is (OTA-5)."""
        return replace(self, reported=dict(configuration), reported_at=at)
