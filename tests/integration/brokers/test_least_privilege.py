"""Each process with a user of its own, who may do what `rights` says and nothing else: the whole path works."""

import asyncio
import re
import uuid
from urllib.parse import urlsplit

import httpx
import pytest
from harness import Process, eventually, read, require_java
from integration.brokers.secure import SecureBroker

from rendercast import topics as admin
from rendercast.rights import PROCESSES, rights
from rendercast.settings import Settings
from schemas.codec import decode_stored
from schemas.settings import TopicSettings


@pytest.fixture
def broker(tmp_path):
    """It denies what is not allowed."""
    require_java()
    with SecureBroker(tmp_path / "denying", PROCESSES, denies=True) as found:
        yield found


def allow(broker, topics):
    for user, needed in rights(Settings(topics=topics)).items():
        for topic in needed.reads:
            broker.allow(user, "Read", topic)
        for topic in needed.writes:
            broker.allow(user, "Write", topic)
        if needed.group:
            broker.allow(user, "Read", group=needed.group)
        if needed.transactional_ids:
            broker.allow(user, "Write", transactional_ids=needed.transactional_ids)
            broker.allow(user, "Describe", transactional_ids=needed.transactional_ids)


def test_the_whole_path_with_five_users(broker, tmp_path):
    topics = TopicSettings(prefix="least.", partitions=2)
    asyncio.run(admin.apply(broker.as_itself, topics))
    allow(broker, topics)

    def start(command, user, **settings):
        processes.append(Process(command, tmp_path, broker.as_user(user), topics, **settings))
        return processes[-1]

    processes = []
    try:
        simulator = start("simulator", "connector", simulator__image_seconds=1)
        url = eventually(lambda: re.search(r'"url": "([^"]+)"', simulator.log))[1]
        chats = f"sqlite:///{tmp_path}/chats.db"
        upgrade = start("db upgrade", "chats", chats__url=chats)
        assert eventually(lambda: upgrade.status == 0, 30)
        start("connector", "connector", connector__base_url=url, connector__token="simulator-token")
        start("processor", "processor")
        start("sink chats", "chats", chats__url=chats)
        start(
            "sink storage", "storage", storage__store_url=tmp_path / "store", storage__allow_http="true",
            storage__allow_private_hosts=f'["{urlsplit(url).netloc}"]',
        )  # fmt: skip
        gateway = start("gateway", "gateway", gateway__auth="off", gateway__port=0)
        for each in processes[2:]:
            each.wait_ready(60)
        at = eventually(lambda: re.search(r'"port": (\d+)', gateway.log))[1]
        made = httpx.post(f"{url}/__script", json={"kind": "image"}, timeout=30).json()["id"]
        chat = {"chat_id": str(uuid.uuid4())}
        job = {"file_id": made, "kind": "image", "chat": chat}
        assert httpx.post(f"http://127.0.0.1:{at}/api/jobs", json=job, timeout=30).status_code == 202
        (stored, *_) = eventually(lambda: read(broker.as_itself, topics.names.stored), 60)
        assert decode_stored(stored.value).file_id == made
        eventually(
            lambda: httpx.get(f"http://127.0.0.1:{at}/api/jobs/{made}", timeout=30).json().get("status") == "completed"
        )
        assert read(broker.as_itself, topics.names.dead_letters) == []
    finally:
        ends = {each.command: each.stop() for each in reversed(processes)}
    assert set(ends.values()) == {0}, ends
