"""Keys: stable, safe, and never the same for two objects."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.storage.keys import object_key, path_safe
from connectors.storage.settings import StorageSettings
from schemas import StorageRequest

DEFAULT = StorageSettings().key_template
AT = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)
FILE = "0b8fdd2c-68a8-4d43-8c4a-6f4c5a1e2b3d"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


def request(url="https://e.com/a.mp4", generation="g1", role="media", kind="video"):
    return StorageRequest(file_id=FILE, generation=generation, url=url, kind=kind, role=role)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        (request(), f"video/2026/03/04/{FILE}/g1.mp4"),
        (request("https://e.com/x\\y.PNG?w=1", kind="image"), f"image/2026/03/04/{FILE}/g1.png"),
        (request("https://e.com/run.sh"), f"video/2026/03/04/{FILE}/g1"),
        (request("https://e.com/t.webp", role="thumbnail"), f"video/2026/03/04/{FILE}/g1.thumbnail.webp"),
        (request(generation="../../etc"), f"video/2026/03/04/{FILE}/=2E=2E=2F=2E=2E=2Fetc.mp4"),
        (request(generation="g1.thumbnail"), f"video/2026/03/04/{FILE}/g1=2Ethumbnail.mp4"),
        (request(generation="videó"), f"video/2026/03/04/{FILE}/vide=C3=B3.mp4"),
    ],
)
def test_a_key_tells_kind_day_file_and_generation(asked, key):
    assert object_key(DEFAULT, asked, AT) == key


@given(TEXTS, TEXTS)
def test_different_generations_have_different_names(one, other):
    assert (path_safe(one) == path_safe(other)) == (one == other)


@given(TEXTS)
def test_a_name_is_one_part_of_a_path_whatever_the_generation(text):
    name = path_safe(text)
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=")
    assert 0 < len(name) <= 150


@pytest.mark.parametrize(
    "template",
    [
        "{file_id}{ext}", "{generation}", "{file_id}/{generation}/{secret}", "/{file_id}/{generation}",
        "../{file_id}/{generation}", "{file_id}//{generation}",
        "a/./{file_id}/{generation}", "{file_id}/{generation}/", "{file_id!r}/{generation}",
        "{file_id:>99}/{generation}",
        "{file_id.__class__}/{generation}", "{file_id}/{generation", "a b/{file_id}/{generation}",
    ],
)  # fmt: skip
def test_a_template_that_could_mix_objects_up_is_refused(template):
    with pytest.raises(ValidationError):
        StorageSettings(key_template=template)


def test_another_template_may_put_roles_and_kinds_elsewhere():
    template = StorageSettings(key_template="renders/{role}/{file_id}/{generation}{ext}").key_template
    assert object_key(template, request(), AT) == f"renders/media/{FILE}/g1.mp4"
