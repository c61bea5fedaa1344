"""Processors for a test; none outlives it."""

import pytest
from integration.streams.support import processors


@pytest.fixture
def processes(tmp_path, kafka, topics):
    """A function that starts a processor with quick time-outs and small steps."""
    with processors(tmp_path, kafka, topics) as start:
        yield start
