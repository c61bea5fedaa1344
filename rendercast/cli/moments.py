"""Times on the command line: `2026-01-02T03:04:05Z`, `2026-01-02`, or a span before now such as `2h`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from schemas.base import EARLIEST, LATEST, utcnow

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")


def moment(text: str, now: datetime) -> datetime:
    """The time that is meant, in UTC; a time without a zone is in UTC. Raises ValueError."""
    span = _SPAN.fullmatch(text.strip())
    try:
        found = now - timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else datetime.fromisoformat(text.strip())
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time: expected 2026-01-02T03:04:05Z, 2026-01-02, or a span before now such as 30m, 2h, 3d"
        ) from error
    return min(max(found, EARLIEST), LATEST)


class Moment(click.ParamType):
    """A time, or a span before now."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return moment(value, utcnow())
        except ValueError as error:
            self.fail(str(error), param, ctx)
