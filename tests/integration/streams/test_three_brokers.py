"""Three brokers, of which one after the other is killed: nothing is lost, nothing is told twice."""

import asyncio
import signal
from collections import Counter

import pytest
from harness import Process, eventually
from integration.streams.support import (
    FAST,
    announced,
    documents,
    expected,
    files,
    observations,
    raw,
    settle,
    track,
    write,
)

from rendercast import topics as admin
from rendercast.broker.local import LocalCluster
from schemas.settings import KafkaSettings, TopicSettings

pytestmark = pytest.mark.usefixtures("own_broker")
INTERNAL = ("__consumer_offsets", "__transaction_state")


class Watched:
    """A processor that is started again when it has ended, as a supervisor does."""

    def __init__(self, process):
        self.process, self.ends = process, Counter()

    def revive(self):
        if self.process.status is not None:
            self.ends[self.process.status] += 1
            assert set(self.ends) <= {70, -signal.SIGKILL}, self.process.log
            self.process.start()


def partitions(kafka, topics):
    """Leader and in-sync replicas of every partition, Kafka's own topics included."""

    async def run():
        async with admin.admin(kafka) as client:
            names = [*INTERNAL, *(spec.name for spec in topics.names.specs())]
            return [each for topic in await client.describe_topics(names) for each in topic["partitions"]]

    return asyncio.run(run())


def is_whole(kafka, topics):
    return all(len(each["isr"]) == 3 for each in partitions(kafka, topics))


@pytest.fixture
def cluster(tmp_path):
    with LocalCluster(tmp_path / "kafka") as started:
        yield started


def test_each_broker_may_be_killed_in_its_turn_and_once_the_processor_with_it(cluster, tmp_path):
    kafka = KafkaSettings(bootstrap_servers=cluster.bootstrap_servers)
    topics = TopicSettings(partitions=4, replication=3)
    eventually(lambda: asyncio.run(can_replicate(kafka)), 30, "all three have joined")
    asyncio.run(admin.apply(kafka, topics))
    worker = Watched(Process("processor", tmp_path, kafka, topics, **FAST))
    try:
        worker.process.wait_ready()
        ids = []
        for number, broker in enumerate(cluster.brokers, 1):
            eventually(lambda: is_whole(kafka, topics), 60, "every partition has its three replicas")
            assert number in {each["leader"] for each in partitions(kafka, topics)}
            some = files(200)
            ids += some
            write(kafka, [raw(topics.names.commands, each) for each in map(track, some)])
            events = [raw(topics.names.upstream, each) for each in observations(some)]
            write(kafka, events[:300])
            broker.kill()
            if number == 2:
                worker.process.kill()
            write(kafka, events[300:])  # takes until another broker leads

            def is_through(ids=ids):
                worker.revive()
                return len(announced(kafka, topics)) >= len(ids)

            eventually(is_through, 40, "its jobs end while a broker is away")
            if number < len(cluster.brokers):
                broker.launch()
        settle(kafka, topics)
        assert announced(kafka, topics) == expected(ids)
        assert Counter(each.status for each in documents(kafka, topics).values()) == {"completed": len(ids)}
        assert worker.process.stop() == 0
    finally:
        worker.process.kill()


async def can_replicate(kafka):
    async with admin.admin(kafka) as client:
        return len((await client.describe_cluster())["brokers"]) == 3
