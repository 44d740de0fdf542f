"""Settings of payments, from the environment (`CAAS_PAYMENTS_...`); all durations are real time unless named."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings


class GatewayKind(StrEnum):
    """Whose API the gateway speaks (GW-7)."""

    CAAS = "caas"
    STRIPE = "stripe"


class PaymentsSettings(ServiceSettings):
    """`activation_margin_s` and `void_margin_s` are business time; see docs/architecture/payments.md."""

    model_config = SettingsConfigDict(env_prefix="CAAS_PAYMENTS_", hide_input_in_errors=True, populate_by_name=True)

    http_port: int = 8101
    gateway_kind: GatewayKind = GatewayKind.CAAS
    gateway_url: str = "http://127.0.0.1:8201"
    gateway_api_key: SecretStr = SecretStr("")
    gateway_timeout_s: float = Field(default=10.0, gt=0, le=25, description="longest wait for an answer")
    gateway_connect_timeout_s: float = Field(default=2.0, gt=0, le=10)
    gateway_concurrency: int = Field(
        default=100, ge=1, le=500, description="calls at once, and outcomes recorded together"
    )
    webhook_secret: SecretStr = Field(default=SecretStr(""), description="whsec_..., signs the gateway's webhooks")
    webhook_previous_secret: SecretStr | None = Field(default=None, description="accepted too during a rotation")

    retry_delays_s: tuple[float, ...] = Field(default=(2.0, 4.0, 8.0), description="GW-2, before jitter")
    retry_jitter: float = Field(default=0.25, ge=0, le=1, description="at most this part is added to a pause")
    first_look_up_s: float = Field(default=1.0, gt=0, description="first pause between look-ups without an answer")
    longest_pause_s: float = Field(default=60.0, gt=0, description="cap of growing pauses (GW-4)")
    pending_poll_s: float = Field(default=30.0, gt=0, description="how often a PENDING payment is looked up")

    activation_margin_s: int = Field(default=86_400, ge=0, description="activate_not_after before the hold's end")
    void_margin_s: int = Field(default=3_600, ge=0, description="clock margin between the deadline and the void")
    risk_policy_version: int = Field(default=1, ge=1)

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign webhooks now: one, or two during a rotation (GW-5)."""
        secrets = (self.webhook_secret, self.webhook_previous_secret)
        return tuple(secret.get_secret_value() for secret in secrets if secret and secret.get_secret_value())

    @property
    def retry_delays(self) -> tuple[timedelta, ...]:
        return tuple(timedelta(seconds=delay_s) for delay_s in self.retry_delays_s)
