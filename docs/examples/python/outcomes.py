#!/usr/bin/env python3
"""Counts outcomes: the records of the topic `completions`, each once, in a SQLite database."""

import json
import logging
import os
import signal
import sqlite3
from dataclasses import dataclass
from types import FrameType

from confluent_kafka import Consumer, KafkaException, Message

TYPE = b"rendercast.completion"
BATCH, WAIT_SECONDS = 500, 0.2
TABLES = """
CREATE TABLE IF NOT EXISTS outcomes (id TEXT PRIMARY KEY, file_id TEXT NOT NULL, outcome TEXT NOT NULL, url TEXT);
CREATE TABLE IF NOT EXISTS counts (outcome TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (place TEXT PRIMARY KEY, reason TEXT NOT NULL, value BLOB);
"""
log = logging.getLogger("outcomes")


@dataclass(frozen=True)
class Completion:
    """The fields that are used here. Others, and those of newer releases, are ignored."""

    id: str
    file_id: str
    outcome: str
    url: str | None


def parse(value: bytes) -> Completion:
    """The record of these bytes. Raises ValueError for what is none."""
    try:
        found = json.loads(value)
        needed, url = [found["id"], found["file_id"], found["outcome"]], found.get("url")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no completion: {error!r}") from error
    if not all(isinstance(text, str) and text for text in needed) or not isinstance(url, str | None):
        raise ValueError("id, file_id and outcome are needed, as texts")
    "".join([*needed, url or ""]).encode()  # half a surrogate pair is in no database's alphabet
    return Completion(*needed, url)


def count(database: sqlite3.Connection, found: Completion) -> None:
    """The effect. A record that has been counted changes nothing."""
    added = database.execute(
        "INSERT INTO outcomes VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (found.id, found.file_id, found.outcome, found.url),
    )
    if added.rowcount == 1:
        database.execute(
            "INSERT INTO counts VALUES (?, 1) ON CONFLICT (outcome) DO UPDATE SET number = number + 1",
            (found.outcome,),
        )


def set_aside(database: sqlite3.Connection, message: Message, reason: ValueError) -> None:
    """Keep what cannot be read, for a person to look at."""
    place = f"{message.topic()}/{message.partition()}/{message.offset()}"
    log.warning("set aside %s: %s", place, reason)
    database.execute(
        "INSERT INTO set_aside VALUES (?, ?, ?) ON CONFLICT (place) DO NOTHING", (place, str(reason), message.value())
    )


def store(database: sqlite3.Connection, messages: list[Message]) -> None:
    """All effects in one transaction."""
    with database:
        for message in messages:
            value = message.value()
            if value is None or dict(message.headers() or ()).get("ce_type") != TYPE:
                continue  # a tombstone, or what a newer release has to say
            try:
                found = parse(value)
            except ValueError as error:
                set_aside(database, message, error)
            else:
                count(database, found)


class Stop:
    """True once the process is asked to end."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked


def main() -> None:
    """Follow the topic until SIGTERM."""
    logging.basicConfig(level=logging.INFO)
    stop = Stop()
    database = sqlite3.connect(os.environ.get("DATABASE", "outcomes.db"))
    database.executescript(TABLES)
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092"),
            "group.id": os.environ.get("GROUP", "outcomes-python"),
            "auto.offset.reset": os.environ.get("START", "earliest"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([os.environ.get("TOPIC", "render.completions")])
    try:
        while not stop:
            messages = consumer.consume(BATCH, WAIT_SECONDS)
            for message in messages:
                if (error := message.error()) is not None:  # the client goes on by itself, unless it is fatal
                    if error.fatal():
                        raise KafkaException(error)
                    log.warning("%s", error)
            if not (records := [message for message in messages if message.error() is None]):
                continue
            store(database, records)
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as error:
                log.warning("not committed, the records come again: %s", error)
    finally:
        consumer.close()  # leaves the group: the others need not wait for a timeout
        database.close()


if __name__ == "__main__":
    main()
