"""One voice: lines of structlog's loggers and of every library go the same way, to standard error."""

from __future__ import annotations

import logging
import sys

import structlog

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure() -> None:
    """Send structlog's lines through the standard library's loggers; set those up where nobody has."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=FORMAT)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
