"""Settings of a service, read once from the environment at the start."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service needs. A service subclasses it with its own `env_prefix` (`CAAS_PAYMENTS_`).

    Names without the prefix (Kafka, the clock, the identity provider) are the same for all services.
    """

    model_config = SettingsConfigDict(env_prefix="CAAS_", hide_input_in_errors=True, populate_by_name=True)

    database_url: str = Field(description="for the role that serves")
    migration_database_url: str | None = Field(
        default=None, description="for the role that owns the schema and migrates it; the serving role when unset"
    )
    http_host: str = "127.0.0.1"
    http_port: int = 8100
    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092", validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVERS")
    )
    clock_file: Path | None = Field(default=None, validation_alias=AliasChoices("CAAS_CLOCK_FILE"))
    jwks_url: str = Field(default="", validation_alias=AliasChoices("CAAS_JWKS_URL"))
    jwt_issuer: str = Field(default="", validation_alias=AliasChoices("CAAS_JWT_ISSUER"))
    jwt_audience: str = Field(default="caas", validation_alias=AliasChoices("CAAS_JWT_AUDIENCE"))
    migrate_on_start: bool = Field(default=False, validation_alias=AliasChoices("CAAS_MIGRATE_ON_START"))
    log_level: str = Field(default="INFO", validation_alias=AliasChoices("CAAS_LOG_LEVEL"))
    database_pool_size: int = Field(default=10, ge=2, le=100)
    consumer_instance: str | None = Field(
        default=None, description="a name that stays over restarts: the partitions then come back at once"
    )
    batch_size: int = Field(default=500, ge=1, le=5000, description="records of one consuming transaction")
    bulk_batch_size: int = Field(
        default=5000, ge=1, le=50_000, description="records that are fetched at once of topics with bulk handlers"
    )
