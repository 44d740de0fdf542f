"""Settings of orders, read once from the environment at the start (`CAAS_ORDERS_…`)."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings
from caas_chassis.time_zones import TimeZoneName


class OrdersSettings(ServiceSettings):
    """What orders needs beyond every service's settings. Durations are seconds of real time."""

    model_config = SettingsConfigDict(env_prefix="CAAS_ORDERS_", hide_input_in_errors=True, populate_by_name=True)

    http_port: int = 8102

    vss_url: str = Field(description="base address of the maintenance system")
    vss_api_key: SecretStr
    vss_timeout_s: float = Field(default=3.0, gt=0, le=20, description="a customer waits for it before paying (SVC-2)")

    factory_url: str = Field(default="", description="base address; without the three, their tasks wait")
    factory_api_key: SecretStr = SecretStr("")
    factory_webhook_secret: SecretStr = Field(default=SecretStr(""), description="whsec_..., signs its webhooks")
    factory_webhook_previous_secret: SecretStr = Field(default=SecretStr(""), description="during a rotation")
    registration_url: str = Field(default="", description="base address of the administration")
    registration_api_key: SecretStr = SecretStr("")
    registration_webhook_secret: SecretStr = Field(default=SecretStr(""), description="whsec_...")
    registration_webhook_previous_secret: SecretStr = Field(default=SecretStr(""), description="during a rotation")
    transport_url: str = Field(default="", description="base address of the transport company")
    transport_api_key: SecretStr = SecretStr("")
    transport_webhook_secret: SecretStr = Field(default=SecretStr(""), description="whsec_...")
    transport_webhook_previous_secret: SecretStr = Field(default=SecretStr(""), description="during a rotation")
    partner_timeout_s: float = Field(default=10.0, gt=0, le=20, description="a look-up and a request together")

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=25, ge=1, le=65_535)
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_start_tls: bool | None = Field(default=None, description="unset: when the server offers it")
    smtp_timeout_s: float = Field(default=10.0, gt=0, le=25)
    mail_sender: str = Field(default="CaaS <no-reply@caas.example>", description="From of every mail")
    operations_address: str = Field(default="operations@caas.example", description="who gets alerts (NOT-2)")

    final_payment_days: float = Field(default=14.0, gt=0, le=365, description="FIN-6, business time from ready on")
    final_payment_retry_hours: float = Field(default=24.0, gt=0, description="left at least after a failure of ours")
    forfeit_on: Literal["declined", "any_failure"] = Field(default="declined", description="FIN-5")
    invitation_days: float = Field(default=7.0, gt=0, le=90, description="how long an invitation link works (RES-2)")
    platform_url: str = Field(default="https://my.caas.example", description="where invitation links lead")

    billing_time_zone: TimeZoneName = Field(
        default="Europe/Madrid", description="whose days the right of withdrawal has (DES-1)"
    )
