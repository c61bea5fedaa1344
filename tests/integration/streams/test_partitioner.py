"""A service whose client partitions otherwise than ours (librdkafka's default does) is served all the same."""

import asyncio

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from harness import Process, eventually, read

from rendercast.broker.local import free_port
from schemas import Track, utcnow
from schemas.codec import decode_completion, encode


def other_partition(file_id, partitions):
    """Not the one that the Java client and ours would choose."""
    return (DefaultPartitioner()(file_id.encode(), list(range(partitions)), list(range(partitions))) + 1) % partitions


def send(kafka, topic, command, partition):
    async def run():
        producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
        await producer.start()
        try:
            await producer.send_and_wait(topic, encode(command), key=command.file_id.encode(), partition=partition)
        finally:
            await producer.stop()

    asyncio.run(run())


def test_observations_and_the_gateways_commands_go_where_the_job_is(kafka, topics, tmp_path):
    simulator_port, gateway_port = free_port(), free_port()
    names, http = topics.names, f"http://127.0.0.1:{gateway_port}"
    simulator = {"simulator__port": simulator_port, "simulator__speed": 20}
    running = [
        Process("simulator", tmp_path, kafka, topics, **simulator),
        Process("processor", tmp_path, kafka, topics),
        Process("gateway", tmp_path, kafka, topics, gateway__port=gateway_port, gateway__auth="off"),
        Process(
            "connector", tmp_path, kafka, topics,
            connector__base_url=f"http://127.0.0.1:{simulator_port}", connector__token="simulator-token",
        ),
    ]  # fmt: skip
    try:
        for process in running:
            process.wait_ready()
        created = [
            httpx.post(f"http://127.0.0.1:{simulator_port}/__script", json={"kind": "video", "behaviour": behaviour})
            for behaviour in ("plain", "never_ends")
        ]
        finishes, cancelled = (each.json()["id"] for each in created)
        homes = {each: other_partition(each, topics.partitions) for each in (finishes, cancelled)}
        for file_id, partition in homes.items():
            send(kafka, names.commands, Track(file_id=file_id, kind="video", issued_at=utcnow()), partition)
        eventually(lambda: httpx.get(f"{http}/api/jobs/{cancelled}").is_success, 20, "the gateway has the job")
        assert httpx.delete(f"{http}/api/jobs/{cancelled}").status_code == 202
        told = eventually(lambda: (found := read(kafka, names.completions)) and len(found) == 2 and found, 30)
        assert {decode_completion(each.value).outcome for each in told} == {"completed", "cancelled"}
        for topic in (names.upstream, names.jobs, names.watches, names.completions):
            assert {(each.key.decode(), each.partition) for each in read(kafka, topic)} <= set(homes.items())
    finally:
        for process in running:
            process.kill()
