"""JSON logs, one object a line; never card numbers, secrets or message bodies."""

import json
import logging
import sys
from typing import Final

import structlog

from caas_chassis.cards import redact_card_data, redact_logged

# Without local variables: they hold message bodies, tokens and names.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logging(service: str, level: str) -> None:
    """Send structlog and the standard library's logging to stderr as JSON."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _TRACEBACKS,
            redact_logged,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


class _JsonFormatter(logging.Formatter):
    """What libraries log, as an object of one line too."""

    def format(self, record: logging.LogRecord) -> str:
        said = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return redact_card_data(json.dumps(said, ensure_ascii=False))
