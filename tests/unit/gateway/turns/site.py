"""Gateways over a real socket and one real SQLite, with an upstream that tests play."""

import asyncio
import contextlib
import time
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import jwt
from sqlalchemy import create_engine, select, update
from unit.gateway.conftest import NOW, Events, Stand, make_file_id, make_job

from connectors.chats.rows import Entry
from connectors.chats.settings import ChatsSettings
from connectors.chats.store import Store
from connectors.chats.tables import OWN_TABLES
from connectors.gateway.generate import Begun
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from rendercast.conversing import turns as turns_of
from schemas import Artifact, Cancel, Stored
from schemas.errors import RetryLater

CHAT = "aaaaaaaa-0000-4000-8000-000000000001"
BODY = {"kind": "video", "model": "comfyui/ltx", "prompt": "a cat", "chat_id": CHAT}
ORDER = {"model": "comfyui/ltx", "prompt": "a cat"}
KEY = {"Idempotency-Key": "k"}
SECRET = "s" * 32


class Upstream:
    """Begins `count` files at each call, or raises `trouble`; while `open` is not set it keeps everybody waiting."""

    def __init__(self) -> None:
        self.asked = []
        self.count = 1
        self.trouble: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def generate(self, kind, wanted):
        self.asked.append((kind, wanted))
        await self.open.wait()
        if self.trouble:
            raise self.trouble
        return [Begun(file_id=make_file_id(number + 1), kind=kind) for number in range(self.count)]


class Between:
    """A chat database as a gateway uses it, for tests to stand in the way of some calls."""

    def __init__(self, site) -> None:
        self._turns = turns_of(ChatsSettings(url=site.url))

    def __getattr__(self, name):
        return getattr(self._turns, name)


class Site:
    """A chat database, an upstream, and gateways that know of each other by these only."""

    def __init__(self, url: str) -> None:
        self.url, self.upstream = url, Upstream()
        self._stack = contextlib.AsyncExitStack()

    async def gateway(self, *, chats=None, turns=None, **settings) -> Stand:
        stand = Stand(**{"generate_wait_seconds": 5, **settings})
        stand.turns = turns or turns_of(ChatsSettings(url=self.url, **(chats or {})))
        stand.routes = Routes(
            stand.settings, stand.board, stand.commands, stand.access, lambda: None, self.upstream, stand.turns
        )
        stand.server = HttpServer(stand.routes.application(), stand.settings)
        await stand.start()
        stand.board.has_loaded()
        self._stack.push_async_callback(stand.turns.__aexit__, None, None, None)
        self._stack.push_async_callback(stand.routes.close)
        self._stack.push_async_callback(stand.end)
        return stand

    async def die_asking(self, stand: Stand, ask) -> None:
        """The gateway dies while the upstream is asked for what `ask(stand)` wants."""
        self.upstream.open.clear()
        lost = asyncio.create_task(ask(stand))
        await stand.until(lambda: self.upstream.asked)
        await stand.routes.close()
        lost.cancel()
        assert self.rows("turn")[0]["state"] == "asked"

    async def end(self) -> None:
        await self._stack.aclose()

    def rows(self, table) -> list:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                found = connection.execute(select(OWN_TABLES.metadata.tables[table]))
                return [each._asdict() for each in found]
        finally:
            engine.dispose()

    def make_older(self, **age) -> None:
        """Every order there is."""
        self.change(asked_at=datetime.now(UTC) - timedelta(**age))

    def change(self, **columns) -> None:
        """In every order there is."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(update(OWN_TABLES.turn).values(columns))
        engine.dispose()

    def messages(self) -> list:
        return sorted(self.rows("message"), key=lambda row: row["created_at"])

    async def show(self, job, message_id, *, copy=None) -> None:
        """As the chat sink does it."""
        told = [Artifact(**{**job.model_dump(), "chat": {"chat_id": CHAT, "message_id": message_id}})]
        topics = ["artifacts"]
        if copy:
            of_copy = {
                "file_id": job.file_id, "generation": job.generation, "url": job.url, "kind": job.kind,
                "location": copy, "bytes": 1, "sha256": "0", "content_type": "video/mp4", "stored_at": NOW,
            }  # fmt: skip
            told, topics = [*told, Stored(**of_copy)], [*topics, "stored"]
        store = Store(self.url, "the chats", str(uuid.uuid4()), tools=False, timeout=5)
        await store.place([("artifacts", 0), ("stored", 0)])
        sources = [SimpleNamespace(topic=each, partition=0, offset=0) for each in topics]
        await store.write([Entry(*each) for each in zip(sources, told, strict=True)])
        await store.close()


@contextlib.asynccontextmanager
async def posted(stand, body=BODY, **headers):
    async with stand.http.stream("POST", "/api/generate-stream", json=body, headers={**KEY, **headers}) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)


@contextlib.asynccontextmanager
async def joined(stand, message_id, **headers):
    async with stand.http.stream("GET", f"/api/generate-stream/{message_id}", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)


async def post(stand, body=BODY, **headers):
    """For what is answered at once, with its problem or the whole of its events."""
    return await stand.http.post("/api/generate-stream", json=body, headers={**KEY, **headers})


async def order(stand, body=ORDER, kind="video", **headers):
    """Outside a chat."""
    return await stand.http.post(f"/api/generate/{kind}", json=body, headers={**KEY, **headers})


async def away(*_, **__):
    raise RetryLater("away")


def job_of(of, number=1, version=1, **fields):
    return make_job(number, version=version, generation=of["request_id"], **fields)


def done(of, number=1, version=5, **fields):
    url = f"https://x.example/{number}.mp4"
    return job_of(of, number, version, outcome="completed", url=url, progress=100, **fields)


def token(subject="one", seconds=600, **grants):
    claims = {"sub": subject, "exp": int(time.time()) + seconds, "rendercast": grants}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


def cancels(stand):
    return [each for each in stand.commands.sent if isinstance(each, Cancel)]
