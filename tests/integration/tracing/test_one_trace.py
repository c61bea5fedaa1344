"""A job that goes through every process is one trace."""

import re
import uuid
from urllib.parse import urlsplit

import httpx
from harness import Process, eventually, read
from otlp import Receiver, attributes

from schemas.trace import SpanId, root_span, traceparent

CALLER = SpanId(bytes(range(16)), bytes(range(1, 9)))


def test_the_spans_of_every_process_are_in_the_jobs_trace_below_its_root(kafka, topics, tmp_path):
    with Receiver() as receiver:
        chats = {"chats__url": f"sqlite:///{tmp_path}/chats.db"}

        def start(command, **settings):
            return Process(command, tmp_path, kafka, topics, tracing__endpoint=receiver.url, **settings)

        processes = [start("db upgrade", **chats), start("simulator", simulator__image_seconds=1)]
        try:
            eventually(lambda: processes[0].status == 0, what="db upgrade")
            url = eventually(lambda: re.search(r'"url": "([^"]+)"', processes[1].log))[1]
            ours = [
                start("connector", connector__base_url=url, connector__token="simulator-token"),
                start("processor"),
                start("sink chats", **chats),
                start(
                    "sink storage", storage__store_url=tmp_path / "store", storage__allow_http="true",
                    storage__allow_private_hosts=f'["{urlsplit(url).netloc}"]',
                ),
                start("gateway", gateway__port="0", gateway__auth="off"),
            ]  # fmt: skip
            processes += ours
            for each in ours:
                each.wait_ready()
            file = httpx.post(f"{url}/__script", json={"kind": "image"}, timeout=30).json()["id"]
            body = {"file_id": file, "kind": "image", "request_id": "r1", "chat": {"chat_id": str(uuid.uuid4())}}
            caller = {"traceparent": traceparent(CALLER, sampled=True).decode()}
            port = re.search(r'"port": (\d+), "event": "gateway listens"', ours[-1].log)[1]
            asked = httpx.post(f"http://127.0.0.1:{port}/api/jobs", json=body, headers=caller, timeout=30)
            assert asked.status_code == 202, asked.text
            wanted = {
                "POST /api/jobs", f"send {topics.names.commands}",
                "image job", "watch", "copy media", "write artifact", "write copy",
                f"process {topics.names.commands}", f"send {topics.names.completions}",
            }  # fmt: skip
            eventually(lambda: wanted <= {span.name for _, span in receiver.spans}, 90, "all spans")
        finally:
            ends = {each.command: each.stop() for each in reversed(processes) if each.status is None}
    assert set(ends.values()) == {0}, ends
    root = root_span(file, "r1")
    found = {span.name: (service, span) for service, span in receiver.spans}
    assert {span.trace_id for _, span in receiver.spans} == {root.trace}
    parents = {(span.name, span.span_id == root.span, span.parent_span_id) for _, span in receiver.spans}
    assert parents == {
        (name, name == "image job", b"" if name == "image job" else root.span) for name in found.keys() | wanted
    }
    services = {name: service.removeprefix("rendercast-") for name, (service, _) in found.items() if name in wanted}
    assert services == {
        "image job": "processor", "watch": "connector", "copy media": "sink-storage", "write artifact": "sink-chats",
        "POST /api/jobs": "gateway", f"send {topics.names.commands}": "gateway", "write copy": "sink-chats",
        f"process {topics.names.commands}": "processor",
        f"send {topics.names.completions}": "processor",
    }  # fmt: skip
    links = {(name, link.trace_id, link.span_id) for name, (_, span) in found.items() for link in span.links}
    assert links == {("POST /api/jobs", *CALLER)}
    whole = found["image job"][1]
    assert attributes(whole)["rendercast.outcome"] == "completed"
    assert whole.start_time_unix_nano < whole.end_time_unix_nano
    assert {each.name for each in found["watch"][1].events} >= {"look", "result"}
    for topic in ("commands", "upstream", "watches", "completions", "artifacts", "storage", "stored"):
        for record in read(kafka, getattr(topics.names, topic)):
            assert record.value is None or dict(record.headers)["traceparent"] == traceparent(root, sampled=True)
