"""An application's own chat and message tables, for the tests that write beside them."""

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from integration.chats.support import by_file, landed, new_id, query, rows
from sqlalchemy import text

from connectors.chats.layout import parse
from connectors.chats.plan import Plan

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs/examples/message-v2.toml"
MESSAGE_V2 = EXAMPLE.read_text()
PLAN = Plan("rendercast_", parse(MESSAGE_V2, "example"), stubs=False)

THEIRS = {
    "postgres": """
        CREATE TABLE "Chat" (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "createdAt" timestamp NOT NULL, title text NOT NULL,
            "userId" uuid NOT NULL, visibility varchar DEFAULT 'private' NOT NULL
        );
        CREATE TABLE "Message_v2" (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "chatId" uuid NOT NULL REFERENCES "Chat"(id),
            role varchar NOT NULL, parts json NOT NULL, attachments json NOT NULL, "createdAt" timestamp NOT NULL
        )""",
    "jsonb and text ids": """
        CREATE TABLE "Chat" (
            id text PRIMARY KEY, "createdAt" timestamptz NOT NULL, title text NOT NULL, "userId" text NOT NULL
        );
        CREATE TABLE "Message_v2" (
            id varchar(64) PRIMARY KEY, "chatId" text NOT NULL REFERENCES "Chat"(id), role text NOT NULL,
            parts jsonb NOT NULL, attachments jsonb NOT NULL, "createdAt" timestamptz NOT NULL
        )""",
    "sqlite": """
        CREATE TABLE "Chat" (
            id text PRIMARY KEY, "createdAt" timestamp NOT NULL, title text NOT NULL, "userId" text NOT NULL
        );
        CREATE TABLE "Message_v2" (
            id text PRIMARY KEY, "chatId" text NOT NULL REFERENCES "Chat"(id), role text NOT NULL,
            parts text NOT NULL, attachments json NOT NULL, "createdAt" text NOT NULL
        )""",
}


def make_theirs(url, kind):
    for statement in THEIRS[kind].split(";"):
        query(url, text(statement))


def add_chat(url):
    made = new_id()
    query(
        url,
        text('INSERT INTO "Chat" (id, "createdAt", title, "userId") VALUES (:id, CURRENT_TIMESTAMP, \'t\', :id)')
        .bindparams(id=as_id(url, made)),
    )  # fmt: skip
    return made


def add_message(url, in_chat, parts="[]", id_=None):
    made = id_ or new_id()
    query(
        url,
        text(
            'INSERT INTO "Message_v2" (id, "chatId", role, parts, attachments, "createdAt") '
            f"VALUES (:id, :chat, 'assistant', '{escaped(parts)}', '[]', CURRENT_TIMESTAMP)"
        ).bindparams(id=as_id(url, made), chat=as_id(url, in_chat)),
    )
    return made


def set_parts(url, parts):
    query(url, text(f"UPDATE \"Message_v2\" SET parts = '{escaped(json.dumps(parts))}'"))


def escaped(words):
    """A colon begins a parameter in SQLAlchemy's `text`."""
    return words.replace(":", "\\:")


def as_id(url, id_):
    kind = query(url, text("SELECT data_type FROM information_schema.columns WHERE table_name = 'Chat'"
                           " AND column_name = 'id'")) if not url.startswith("sqlite") else []  # fmt: skip
    return uuid.UUID(id_) if kind and kind[0]["data_type"] == "uuid" else id_


def shown(url):
    """Their messages: role, attachments and parts, by id."""
    found = query(url, text('SELECT id, role, CAST(parts AS text) AS parts, CAST(attachments AS text) AS attachments'
                            ' FROM "Message_v2"'))  # fmt: skip
    return {str(row["id"]): row | {"parts": json.loads(row["parts"])} for row in found}


@dataclass(frozen=True)
class Home:
    """A database that a sink writes to, with tables of our own or an application's."""

    url: str
    statements: int
    """Of the transaction of a batch that has an artifact, a new one, and a copy."""
    prefix: str = ""
    settings: dict = field(default_factory=dict)

    def new_chat(self):
        return add_chat(self.url) if self.prefix else new_id()

    def by_file(self):
        return by_file(self.url, self.prefix)

    def landed(self):
        return landed(self.url, self.prefix)

    def messages(self):
        """Of each its version: what its column says, or the sum of those that its parts say."""
        if not self.prefix:
            return {str(row["id"]): row["version"] for row in rows(self.url, "message")}
        return {each: sum(part["data"]["version"] for part in row["parts"]) for each, row in shown(self.url).items()}
