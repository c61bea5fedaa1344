"""Room for downloads, and which URLs a store may have."""

import asyncio
import threading

import pytest
from pydantic import ValidationError

from connectors.storage.resolver import SystemResolver
from connectors.storage.settings import StorageSettings
from connectors.storage.slots import Slots


async def test_the_spellings_of_a_host_are_one_host():
    slots = Slots(10, 1)
    spellings = ["https://h.example/a", "https://H.example:443/b", "https://h.example./c", "https://u@h.example/d"]
    async with slots.of(spellings[0]):
        for each in spellings[1:]:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), slots.of(each):
                    pass
        async with slots.of("https://other.example/a"), slots.of("https://h.example:8443/a"):
            pass


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory:///", "the scheme is one of"),
        ("https://bucket.example.com/x", "the scheme is one of"),
        ("s3:/bucket", "two slashes"),
        ("s3://KEY:SECRET@bucket/x", "no credentials"),
        ("az://container?sig=SECRET", "no query"),
    ],
)
def test_a_store_that_would_lose_objects_or_tell_secrets_is_refused(url, words):
    with pytest.raises(ValidationError, match=words) as refused:
        StorageSettings(store_url=url)
    assert "SECRET" not in refused.value.errors()[0]["msg"]


async def test_a_name_server_that_is_silent_is_waited_for_only_so_long(monkeypatch):
    asked, answered = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(*_):
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(answered.wait(), loop).result(30)
        return []

    monkeypatch.setattr("socket.getaddrinfo", silent)
    with pytest.raises(TimeoutError):
        await SystemResolver(0.05).resolve("e.com", 443)
    assert asked.is_set()
    assert [each.daemon for each in threading.enumerate() if each.name == "resolver"] == [True]  # holds no process up
    answered.set()


async def test_names_become_addresses_and_unknown_names_an_error():
    found = await SystemResolver(30).resolve("localhost", 80)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}
    assert found
    with pytest.raises(OSError, match=r"."):
        await SystemResolver(30).resolve("no-such-name.invalid", 80)
    with pytest.raises(OSError, match=r"."):
        await SystemResolver(30).resolve("x" * 300, 80)
