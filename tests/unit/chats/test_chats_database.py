"""URLs, and errors in our words."""

import sqlite3

import psycopg.errors
import pytest
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from connectors.chats.database import database_url, translated
from connectors.chats.settings import ChatsSettings
from schemas.errors import RejectRecord, RetryLater, StopProcess


def dbapi(original):
    return DBAPIError.instance("INSERT …", {"secret": "value"}, original, psycopg.Error)


@pytest.mark.parametrize(
    ("raised", "meant"),
    [
        (dbapi(psycopg.OperationalError("connection failed")), RetryLater),
        (dbapi(psycopg.errors.DeadlockDetected("deadlock")), RetryLater),
        (dbapi(psycopg.errors.SerializationFailure("again")), RetryLater),
        (dbapi(psycopg.errors.AdminShutdown("shutting down")), RetryLater),
        (dbapi(psycopg.errors.ReadOnlySqlTransaction("standby")), RetryLater),
        (PoolTimeoutError("pool"), RetryLater),
        (TimeoutError(), RetryLater),
        (ConnectionRefusedError(), RetryLater),
        (dbapi(psycopg.errors.UniqueViolation("twice")), RejectRecord),
        (dbapi(psycopg.errors.UntranslatableCharacter("nul")), RejectRecord),
        (OverflowError("too large"), RejectRecord),
        (dbapi(psycopg.errors.UndefinedTable("no table")), StopProcess),
        (dbapi(psycopg.errors.InvalidPassword("who?")), StopProcess),
        (dbapi(psycopg.OperationalError('FATAL:  password authentication failed for user "a"')), StopProcess),
        (dbapi(psycopg.ProgrammingError('invalid connection option "sslmod"')), StopProcess),
        (dbapi(psycopg.errors.InsufficientPrivilege("not yours")), StopProcess),
    ],
)
def test_an_error_says_what_happens_next(raised, meant):
    with pytest.raises(meant) as told, translated("the chat database"):
        raise raised
    assert "the chat database" in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("words", "meant"),
    [("database is locked", RetryLater), ("no such table: chat", StopProcess), ("disk I/O error", RetryLater)],
)
def test_sqlite_errors_are_told_apart_by_their_words(words, meant):
    error = DBAPIError.instance("SELECT 1", (), sqlite3.OperationalError(words), sqlite3.Error)
    with pytest.raises(meant), translated("the local store"):
        raise error


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg"),
        ("postgres://h/d", "postgresql+psycopg"),
        ("sqlite:///a.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///a.db", "sqlite+aiosqlite"),
    ],
)
def test_a_url_gets_our_driver(text, driver):
    assert database_url(text).drivername == driver


@pytest.mark.parametrize("text", ["", "secret-word", "mysql://u:secret-word@h/d"])
def test_a_url_of_another_kind_stops_the_process_and_tells_no_secret(text):
    with pytest.raises(StopProcess) as stopped:
        database_url(text)
    assert "secret-word" not in str(stopped.value)


def test_one_database_cannot_be_both_of_the_sinks():
    with pytest.raises(ValidationError, match="expected another database than url"):
        ChatsSettings(url="sqlite:///a.db", local_url="sqlite:///a.db")
