"""Billing's settings, read once from the environment (`CAAS_BILLING_*`)."""

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from caas_chassis.settings import ServiceSettings


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

    billing_time_zone: Annotated[str, Field(description="whose calendar months are billing periods (SUB-3)")] = (
        "Europe/Madrid"
    )

    # A page takes about 10 ms of a core; two at a time keep up with 100 invoices a second.
    typeset_concurrency: int = Field(default=2, ge=1, le=32)
    mail_concurrency: int = Field(default=4, ge=1, le=64)
    document_wait_s: float = Field(default=5.0, ge=0, le=30, description="how long a download waits for its PDF")

    @field_validator("billing_time_zone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("no time zone of the IANA database, such as Europe/Madrid")
        return name
