"""Structured logs on stderr: text for a person at a terminal, one JSON object a line for everybody else.

This module must not log anything itself.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

from gitsnap.render import json_line, one_line

_FIELDS = ("policy", "sample")
"""What a record may carry besides its message, by ``extra``."""


class JsonFormatter(logging.Formatter):
    """``{"time": …, "level": …, "message": …, "policy": …}``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        entry = {
            "time": _moment(record),
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
        """One line, and a traceback where there is one."""
        policy = getattr(record, "policy", "")
        line = f"{_moment(record)} {record.levelname.lower():7} {f'{policy}: ' if policy else ''}{record.getMessage()}"
        line = one_line(line)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(*, verbose: bool) -> None:
    """Send what the controller logs to stderr; with ``verbose`` what it only considers, too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    logger = logging.getLogger("gitsnap")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
