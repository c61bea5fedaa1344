"""What the brokers let this user do with topics. They say so in the metadata, and nothing is written to find out."""

import contextlib
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from brokers.reach import LOOK_MILLISECONDS

READ, WRITE = 3, 4
"""Bits of Kafka's AclOperation."""

EVERYTHING = frozenset(range(32))
_NOT_TOLD = -(2**31)
_REFUSED = 29
"""A topic that we may not even describe."""


class _Metadata(Response):  # type: ignore[misc] # aiokafka is untyped
    """Metadata, version 8: the first that tells what is allowed."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String()), ("port", Int32), ("rack", String()))),
        ("cluster_id", String()),
        ("controller_id", Int32),
        ("topics", Array(
            ("error_code", Int16), ("name", String()), ("is_internal", Boolean),
            ("partitions", Array(
                ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                ("replicas", Array(Int32)), ("isr", Array(Int32)), ("offline", Array(Int32)),
            )),
            ("authorized_operations", Int32),
        )),
        ("authorized_operations", Int32),
    )  # fmt: skip


class _AskMetadata(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Metadata
    SCHEMA = Schema(
        ("topics", Array(String())), ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean), ("include_topic_authorized_operations", Boolean),
    )  # fmt: skip


class _Ask(Request[_AskMetadata]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, True)


async def allowed(reach: dict[str, Any], topics: list[str]) -> dict[str, frozenset[int]]:
    """The operations by topic: all of them where the brokers ask nobody for rights. Raises KafkaError and OSError."""
    connection = await _connection(dict(reach))
    try:
        answer = await connection.send(_Ask(topics))
    finally:
        connection.close()
    return {topic[1]: _operations(topic[0], topic[4]) for topic in answer.topics}


async def _connection(options: dict[str, Any]) -> AIOKafkaConnection:
    """To the first server that lets us in; raises what the last one said."""
    *others, last = options.pop("bootstrap_servers")
    for server in others:
        with contextlib.suppress(KafkaError, OSError):
            return await _connect(server, options)
    return await _connect(last, options)


async def _connect(server: str, options: dict[str, Any]) -> AIOKafkaConnection:
    host, _, port = server.rpartition(":")
    return await create_conn(host.strip("[]"), int(port), request_timeout_ms=LOOK_MILLISECONDS, **options)


def _operations(error: int, bits: int) -> frozenset[int]:
    if error == _REFUSED:
        return frozenset()
    return EVERYTHING if bits == _NOT_TOLD else frozenset(bit for bit in range(32) if bits & 1 << bit)
