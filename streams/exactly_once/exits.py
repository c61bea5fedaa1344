"""The one way out: whatever goes wrong in this room ends the process, and a supervisor starts it again.

Faust logs some exceptions of its services and lives on; a half-dead worker would hold its partitions and lose what it
was given. So nothing here is caught to be carried on from.
"""

import contextlib
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Literal, NoReturn, get_args

import structlog
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from schemas.errors import StopProcess

EXIT_STATUS = 70
"""EX_SOFTWARE: restart me. (1 is for what needs an operator.)"""

Why = Literal["fenced", "aborted", "lost_delivery", "timeout", "operator", "crash"]
"""`fenced`: another worker has taken the partition. `aborted`: the broker refused or did not answer a transaction.
`operator`: status 1, a restart will not help."""

log = structlog.get_logger()


class Ledger:
    """How often processes of one data directory ended, and why: a file, because a counter dies with its process."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ends"

    def add(self, why: Why) -> None:
        with self._path.open("a") as file:
            file.write(f"{why}\n")

    def counts(self) -> dict[Why, int]:
        lines = Counter(self._path.read_text().split()) if self._path.exists() else Counter[str]()
        return {why: lines[why] for why in get_args(Why)}


_ledgers: list[Ledger] = []


def remember_in(ledger: Ledger) -> None:
    """Write the ends of this process there."""
    _ledgers[:] = [ledger]


def end_process(words: str, why: Why = "crash", **facts: object) -> NoReturn:
    """Say why, and end at once: no handler, no buffer, no other task runs after this."""
    try:
        for ledger in _ledgers:
            with contextlib.suppress(OSError):
                ledger.add(why)
        log.critical("process ends", why=words, cause=why, **facts)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # a full disk or a closed pipe must not keep it alive
        os._exit(1 if why == "operator" else EXIT_STATUS)


def end_process_after(error: BaseException, words: str, **facts: object) -> NoReturn:
    """End it because of an exception, which is classed."""
    match error:
        case StopProcess():
            end_process(str(error), "operator", **{**error.facts, **facts})
        case ProducerFenced() | InvalidProducerEpoch():
            end_process("another worker has taken the partition", "fenced", **facts)
        case KafkaError():
            end_process(words, "aborted", error=repr(error), **facts)
        case TimeoutError():
            end_process(words, "timeout", error=repr(error), **facts)
        case _:
            end_process(words, "crash", error=repr(error), **facts)
