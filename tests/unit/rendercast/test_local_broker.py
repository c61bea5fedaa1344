"""The local broker, as far as it needs no Java."""

from uuid import UUID

from rendercast.broker import local


def test_a_cluster_id_is_never_taken_for_an_option(monkeypatch, tmp_path):
    found = iter([UUID(int=0xF8 << 120), UUID(int=0xFB << 120), UUID(int=7)])  # the first two begin with "-"
    monkeypatch.setattr(local, "uuid4", lambda: next(found))
    assert local.LocalBroker(tmp_path).cluster_id == "AAAAAAAAAAAAAAAAAAAABw"
