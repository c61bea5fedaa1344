"""The examples, built once; a group and a topic of each test's own."""

import pytest
from integration.examples.support import Counting, Example
from integration.examples.topic import Group


@pytest.fixture(scope="session", params=["python", "java", "go"])
def example(request):
    return Example(request.param)


@pytest.fixture
def group(kafka, topics):
    return Group(kafka, f"{topics.prefix}outcomes")


@pytest.fixture
def make_counting(example, kafka, topics, group, tmp_path):
    """`make_counting()`: the program, started, on the test's topic and one database; killed at the end."""
    started = []

    def make() -> Counting:
        servers, topic = kafka.bootstrap_servers, topics.names.completions
        started.append(Counting(example, tmp_path, servers, topic, group.name))
        started[-1].start()
        return started[-1]

    yield make
    for each in started:
        each.kill()
