"""One voice: lines of structlog's loggers and of every library go the same way, to standard error.

structlog takes a fifth of a second to import, so whoever must answer at once calls `speak` first and `configure` later.
"""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def speak() -> None:
    """Let the standard library's loggers speak where nobody has set them up."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=FORMAT)


def configure() -> None:
    """Send structlog's lines through the standard library's loggers too."""
    import structlog

    speak()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
