"""What the reconciliation process is configured with, read from the environment at the start."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings


class GatewayKind(StrEnum):
    """Whose API the settlement feed speaks (GW-7)."""

    CAAS = "caas"
    STRIPE = "stripe"


class ReconciliationSettings(ServiceSettings):
    """Variables start with `CAAS_RECONCILIATION_`. Durations ending in `_s` are seconds of real time."""

    model_config = SettingsConfigDict(
        env_prefix="CAAS_RECONCILIATION_", hide_input_in_errors=True, populate_by_name=True
    )

    http_port: int = 8105
    gateway_kind: GatewayKind = GatewayKind.CAAS
    gateway_url: str = Field(description="base address of the gateway's API")
    gateway_api_key: SecretStr
    gateway_timeout_s: float = Field(default=10.0, gt=0, le=60)
    page_size: int = Field(default=500, ge=1, le=1000, description="settlement lines asked for at once")
    pull_retry_delays_s: tuple[float, ...] = Field(default=(2.0, 4.0, 8.0), description="GW-2")
    run_every: timedelta = Field(default=timedelta(hours=1), description="business time between runs, RCN-1")
    delayed_after_business_days: int = Field(default=5, ge=1, le=60, description="RCN-3")
    case_overdue_after_days: int = Field(default=10, ge=1, le=365, description="NOT-2: cases past their age")
    time_zone: str = "Europe/Madrid"
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="the currency of the totals published")
