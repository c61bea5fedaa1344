"""Logs: JSON lines for machines, columns for a terminal. No token ever."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = re.compile(r"token|authorization|password|secret|cookie", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?i)(bearer\s+|(?:token|password|secret|key)=|://[^\s/:@?'\"]+:(?=[^\s/@'\"]+@))[^\s&,;'\"@]+"
)
MASK = "***"


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what is called like a secret, and what looks like one inside texts."""
    for name, value in event.items():
        if name != "event" and _SECRET_NAMES.search(name):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = mask_text(value)
    return event


def mask_text(text: str) -> str:
    """The text without what looks like a secret: bearer tokens, passwords in URLs, keys in query strings."""
    return _SECRET_TEXT.sub(rf"\1{MASK}", text)


def set_up(process: str, level: str = "info") -> None:
    """Send structlog's and the libraries' lines to standard error in one form."""
    steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    if sys.stderr.isatty():
        render: Any = structlog.dev.ConsoleRenderer()
    else:
        render = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    for noisy in ("aiokafka", "faust", "mode", "kafka", "httpx", "httpcore", "uvicorn", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for silent in ("aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator", "aiokafka.conn"):
        logging.getLogger(silent).setLevel(logging.ERROR)  # each lost connection, once a second
    structlog.contextvars.bind_contextvars(process=process)
