"""What fuzzing has found worth keeping (`tests/fuzz`), once more through decoder and parser."""

from pathlib import Path

import pytest
from fuzz.target import check

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus").iterdir())


@pytest.mark.parametrize("kept", CORPUS, ids=lambda each: each.name[:12])
def test_what_was_found_by_fuzzing_still_holds(kept):
    check(kept.read_bytes())


def test_the_kept_corpus_is_there_and_small():
    assert 50 <= len(CORPUS) < 300
    assert sum(each.stat().st_size for each in CORPUS) < 1_048_576
