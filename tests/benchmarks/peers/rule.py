"""Our rule and codec, as every Python worker applies them: engines are compared, not rules."""

from schemas import Completion, Job
from schemas.codec import decode_command, decode_job, decode_observation, encode
from streams.machine import advance

_IS_TRACK = b'"type":"track"'


def apply(job: Job | None, value: bytes) -> tuple[Job | None, bytes | None]:
    """An event on a decoded job: the job as it is then, and a completion to write."""
    event = decode_command(value) if _IS_TRACK in value else decode_observation(value)
    after, told, _ = advance(job, event)
    return after, next((encode(each) for each in told if type(each) is Completion), None)


def apply_to_document(document: bytes | None, value: bytes) -> tuple[bytes | None, bytes | None]:
    """An event on a document: the document to write if it has changed, and a completion to write."""
    job = None if document is None else decode_job(document)
    after, completion = apply(job, value)
    return (None if after is job or after is None else encode(after)), completion
