"""What the upstream's frames and answers mean. Pure and total: any input gives a `Parsed`, none raises."""

from connectors.upstream.parser.answers import parse_answer, parse_refusal
from connectors.upstream.parser.events import parse_frame
from connectors.upstream.parser.results import (
    Broken,
    Channel,
    Endpoint,
    Generated,
    Ignored,
    Parsed,
    Sight,
)

__all__ = [
    "Broken", "Channel", "Endpoint", "Generated", "Ignored", "Parsed", "Sight", "parse_answer", "parse_frame",
    "parse_refusal",
]  # fmt: skip
