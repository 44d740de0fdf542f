"""Billing's settings, read once from the environment (`CAAS_BILLING_*`)."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings
from caas_chassis.time_zones import TimeZoneName


class BillingSettings(ServiceSettings):
    """The issuer that documents name, the mail server, and how much may run at once."""

    model_config = SettingsConfigDict(env_prefix="CAAS_BILLING_", hide_input_in_errors=True, populate_by_name=True)

    http_port: int = 8104

    issuer_name: str = "CaaS Movilidad, S.L."
    issuer_tax_id: Annotated[str, Field(description="NIF of the issuer; the default is nobody's")] = "B00000000"
    issuer_address: Annotated[str, Field(description="lines separated by |")] = (
        "Calle de la Autopista, 1|28001 Madrid|España"
    )
    issuer_email: str = "facturacion@caas.example"
    issuer_phone: str = "+34 910 000 000"
    issuer_website: str = "www.caas.example"
    issuer_registration: Annotated[str, Field(description="entry in the company register, in the footer")] = (
        "Inscrita en el Registro Mercantil de Madrid"
    )

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=1025, ge=1, le=65535)
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_timeout_s: float = Field(default=20.0, gt=0, le=120)
    mail_from: str = "facturacion@caas.example"

    # A page takes about 10 ms of a core; two at a time keep up with 100 invoices a second.
    typeset_concurrency: int = Field(default=2, ge=1, le=32)
    mail_concurrency: int = Field(default=4, ge=1, le=64)
    document_wait_s: float = Field(default=5.0, ge=0, le=30, description="how long a download waits for its PDF")

    billing_time_zone: Annotated[
        TimeZoneName, Field(description="whose calendar months are billing periods (SUB-3)")
    ] = "Europe/Madrid"
    # Cars out of reach overnight report in the morning: that much less of their use is late.
    billing_grace_hours: Annotated[
        int, Field(ge=0, le=24 * 20, description="how long after a month's end it is closed by itself")
    ] = 6
    billing_workers: Annotated[int, Field(ge=1, le=8, description="connections that close periods at once")] = 2
    dunning_retry_days: Annotated[
        tuple[Annotated[int, Field(ge=1, le=60)], ...],
        Field(
            min_length=1,
            max_length=10,
            description="days after the first failed charge of an invoice on which it is retried",
        ),
    ] = (3, 7)
    dunning_charge_hour: int = Field(default=10, ge=0, le=23, description="local hour of the retries")
    dunning_business_days_only: bool = False
    dunning_holidays: Annotated[tuple[date, ...], Field(description="no retries then, on business days only")] = ()
    # Longer than most outages, and still the same day: nobody's step of the schedule is used up meanwhile.
    dunning_technical_retry_hours: int = Field(default=6, ge=1, le=72)

    @field_validator("dunning_retry_days")
    @classmethod
    def _rises(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if list(days) != sorted(set(days)):
            raise ValueError("the days must rise: 3, 7")
        return days
