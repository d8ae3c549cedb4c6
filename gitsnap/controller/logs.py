"""Structured logs on stderr: text on a terminal, otherwise one JSON object per line."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

from gitsnap.core.text import time_text
from gitsnap.render import json_line, one_line

_FIELDS = ("policy", "sample")
"""Fields that a record may carry in ``extra``."""


class JsonFormatter(logging.Formatter):
    """``{"time": …, "level": …, "message": …, "policy": …}``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line of JSON."""
        entry = {
            "time": _time_text(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in _FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json_line(entry)


class TextFormatter(logging.Formatter):
    """``2023-08-26T05:20:00Z info    hourly: message``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, followed by its traceback if it has one."""
        policy = getattr(record, "policy", "")
        message = f"{policy}: {record.getMessage()}" if policy else record.getMessage()
        line = one_line(f"{_time_text(record)} {record.levelname.lower():7} {message}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(*, verbose: bool) -> None:
    """Send the logs of gitsnap to stderr; ``verbose`` includes debug messages."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    logger = logging.getLogger("gitsnap")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def _time_text(record: logging.LogRecord) -> str:
    return time_text(datetime.fromtimestamp(record.created, UTC))
