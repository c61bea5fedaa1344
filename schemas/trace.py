"""The trace of a job: ids that everybody can derive, written as W3C Trace Context has them.

One trace per generation of a file. Nothing about it is kept or carried: whoever knows file and generation knows it,
whatever crashed in between.
"""

import re
from hashlib import sha256
from typing import NamedTuple

from schemas.ids import NAMESPACE

_SEED = NAMESPACE.bytes + b"trace/"
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.DOTALL)


class SpanId(NamedTuple):
    """One span: 16 bytes that name its trace, 8 that name it there."""

    trace: bytes
    span: bytes


def root_span(file_id: str, generation: str) -> SpanId:
    """The root of the job's trace.

    A plain digest: of a uuid5 two bits are fixed that stand first in the half of the id by which samplers decide, and
    a ratio of 0.4 would take none.
    """
    digest = sha256(_SEED + f"{file_id}/{generation}".encode()).digest()
    return SpanId(digest[:16], digest[16:24])


def is_sampled(trace: bytes, ratio: float) -> bool:
    """The same for everybody who has the same ratio, OpenTelemetry's own `TraceIdRatioBased` included."""
    return int.from_bytes(trace[8:]) < round(ratio * 2**64)


def traceparent(span: SpanId, *, sampled: bool) -> bytes:
    """The header's value."""
    return b"00-%s-%s-0%d" % (span.trace.hex().encode(), span.span.hex().encode(), sampled)


def parse_traceparent(value: bytes) -> SpanId | None:
    """The caller's span; None where the header is none of Trace Context's."""
    found = _FORM.fullmatch(value)
    if found is None:
        return None
    version, trace, span, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    told = SpanId(bytes.fromhex(trace.decode()), bytes.fromhex(span.decode()))
    return told if any(told.trace) and any(told.span) else None
