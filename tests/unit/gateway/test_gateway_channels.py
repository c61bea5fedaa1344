import pytest

from connectors.gateway.channels import file_of, parse_channel

UUID = "A0000000-0000-4000-8000-00000000000F"


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("all", "all"),
        (f"file.{UUID}", f"file.{UUID.lower()}"),
        ("project.p/1.2", "project.p/1.2"),
        ("user.Ann", "user.Ann"),
        ("chat.video-generator-tool", "chat.video-generator-tool"),
    ],
)
def test_a_channel_has_one_spelling(text, channel):
    assert parse_channel(text) == channel


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file",
        "file.",
        "file.x",
        f"file.{UUID}\n",
        f"files.{UUID}",
        UUID,
        "project.",
        "chat.",
        "user." + "x" * 301,
        "ALL",
    ],
)
def test_what_is_no_channel_is_refused(text):
    with pytest.raises(ValueError, match="should"):
        parse_channel(text)


def test_only_one_channel_of_a_file_is_the_channel_of_one_file():
    one = f"file.{UUID.lower()}"
    assert file_of((one,)) == UUID.lower()
    assert file_of((one, one.replace("f", "e"))) is None
    assert file_of(("project.p",)) is None
