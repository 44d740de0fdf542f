"""Settings of payments, from the environment (`CAAS_PAYMENTS_...`); all durations are real time unless named."""

from datetime import timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings


class GatewayKind(StrEnum):
    """Whose API the gateway speaks (GW-7)."""

    CAAS = "caas"
    STRIPE = "stripe"


class PaymentsSettings(ServiceSettings):
    """The margins, `action_life_s`, `key_life_s`, `key_safety_s` and `believe_absence_after_s` are business time."""

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
    key_life_s: int = Field(default=86_400, gt=0, description="how long the gateway remembers idempotency keys")
    key_safety_s: int = Field(default=14_400, ge=0, description="how long before that the last call is made")
    believe_absence_after_s: float = Field(
        default=60.0, gt=0, description="since the last call, before 'not found' is believed (GW-4)"
    )
    frozen_look_up_s: float = Field(default=3_600.0, gt=0, description="how often a frozen payment is looked up")
    breaker_failures: int = Field(default=20, ge=1, description="outages in a row that open the circuit")
    breaker_open_s: float = Field(default=15.0, gt=0, description="how long an open circuit spares the gateway")
    pending_poll_s: float = Field(default=30.0, gt=0, description="how often a PENDING payment is looked up")

    action_poll_s: float = Field(default=300.0, gt=0, description="how often one that waits for its customer is")
    action_life_s: int = Field(default=259_200, gt=0, description="how long a customer's link works (PAY-9)")
    public_url: str = Field(
        default="http://127.0.0.1:8101", max_length=400, pattern="^https?://", description="where customers find us"
    )
    return_url: str = Field(default="", description="where a Stripe page leads the customer afterwards (PAY-9)")

    activation_margin_s: int = Field(default=86_400, ge=0, description="activate_not_after before the hold's end")
    void_margin_s: int = Field(default=3_600, ge=0, description="clock margin between the deadline and the void")
    exposure_every_s: float = Field(default=15.0, ge=1, le=3600, description="measure the open exposure (RSK-3)")
    audit_anchor_every_s: float = Field(default=60.0, ge=1, le=3600, description="anchor the audit log's head (PAY-4)")
    risk_policy_version: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _absence_outlasts_a_call(self) -> Self:
        if self.believe_absence_after_s <= self.gateway_timeout_s:
            raise ValueError("believe_absence_after_s has to be longer than gateway_timeout_s: a call may be under way")
        if self.key_safety_s >= self.key_life_s:
            raise ValueError("key_safety_s has to be shorter than key_life_s: no call could be made at all")
        return self

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign webhooks now: one, or two during a rotation (GW-5)."""
        secrets = (self.webhook_secret, self.webhook_previous_secret)
        return tuple(secret.get_secret_value() for secret in secrets if secret and secret.get_secret_value())

    @property
    def retry_delays(self) -> tuple[timedelta, ...]:
        return tuple(timedelta(seconds=delay_s) for delay_s in self.retry_delays_s)
