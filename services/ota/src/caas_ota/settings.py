"""The settings of ota, from environment variables that begin with `CAAS_OTA_`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings

Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]


class OtaSettings(ServiceSettings):
    """Retry delays are real time; everything else that waits is business time."""

    model_config = SettingsConfigDict(env_prefix="CAAS_OTA_", hide_input_in_errors=True, populate_by_name=True)

    http_port: int = 8103
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = Field(default=1883, ge=1, le=65_535)
    mqtt_username: str | None = None
    mqtt_password: str | None = None
    mqtt_tls: bool = Field(default=False, description="verify the broker by the system's certificates")
    mqtt_client_id: str = Field(default="caas-ota", description="another one for every replica")
    mqtt_shared_group: str | None = Field(
        default=None, description="share the acknowledgements between replicas ($share/<group>/…)"
    )
    retry_delays_s: list[Seconds] = Field(default=[5.0, 15.0, 45.0], max_length=10)
    retry_delays_s_by_service: dict[str, list[Seconds]] = Field(default_factory=dict)
    clock_margin_s: Seconds = 300.0
    unknown_vehicle_grace_s: Seconds = 30.0
    recheck_interval_s: Seconds = 3600.0
    recheck_interval_max_s: Seconds = 86_400.0
    deactivation_interval_s: Seconds = 900.0


def duration(seconds: float) -> timedelta:
    """A setting's seconds as a duration."""
    return timedelta(seconds=seconds)


def durations(seconds: Sequence[float]) -> tuple[timedelta, ...]:
    """Settings' seconds as durations."""
    return tuple(duration(one) for one in seconds)
