"""A layout file: what may stand in it, and what is said of what may not."""

import pytest

from connectors.chats.layout import load, parse
from connectors.chats.plan import plan_of
from connectors.chats.settings import ChatsSettings
from schemas.errors import StopProcess

GOOD = """
[chat]
table = "Chat"
[message]
table = "Message_v2"
chat_id = "chatId"
role = "role"
parts = "parts"
"""


def test_a_layout_names_tables_and_columns_letter_for_letter():
    found = parse(GOOD + 'schema = "App"\n[message.constants]\nattachments = []\n', "here")
    assert (found.message.table, found.message.db_schema) == ("Message_v2", "App")
    assert found.message.columns() == {"id": "id", "chat_id": "chatId", "role": "role", "parts": "parts"}
    assert found.message.constants == {"attachments": []}
    assert (found.message.assistant, found.message.part_type) == ("assistant", "data-artifact")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('table = "Chat"', ""), "chat.table: Field required"),
        (('chat_id = "chatId"', "chat_id = 7"), "message.chat_id: Input should be a valid string"),
        (("role =", "rolle ="), "message.rolle: Extra inputs are not permitted"),
        (('parts = "parts"', ""), "message: Value error, expected at least one of parts, status, version"),
        (('"parts"', '"role"'), "message: Value error, column role is named twice"),
        (('parts = "parts"', 'parts = "parts"\nconstants = {role = "x"}'), "column role is named twice"),
        (('parts = "parts"', 'parts = "parts"\nconstants = {at = 2026-01-01}'), "message.constants.at"),
        (('parts = "parts"', 'parts = ""'), "message.parts: String should have at least 1 character"),
        (("[chat]", "[chat"), "not TOML"),
    ],
)
def test_what_is_wrong_with_a_layout_is_told_by_its_field(change, told):
    with pytest.raises(StopProcess) as stopped:
        parse(GOOD.replace(*change, 1), "some.toml")
    assert str(stopped.value).startswith("layout some.toml: ")
    assert told in str(stopped.value)


def test_a_layout_that_cannot_be_read_names_the_setting(tmp_path):
    with pytest.raises(StopProcess, match="RENDERCAST_CHATS__LAYOUT"):
        load(tmp_path / "none.toml")


def test_our_tables_have_plain_names_but_beside_an_applications(tmp_path):
    layout = tmp_path / "layout.toml"
    layout.write_text(GOOD)
    assert plan_of(ChatsSettings()).prefix == ""
    assert plan_of(ChatsSettings(layout=layout)).prefix == "rendercast_"
    assert plan_of(ChatsSettings(layout=layout, table_prefix="rc_")).prefix == "rc_"
    assert plan_of(ChatsSettings(table_prefix="rc_")).prefix == "rc_"


def test_unknown_chats_and_notify_are_as_the_settings_say():
    assert (plan_of(ChatsSettings()).stubs, plan_of(ChatsSettings()).notify) == (True, True)
    changed = plan_of(ChatsSettings(unknown_chat="dead-letter", notify=False))
    assert (changed.stubs, changed.notify) == (False, False)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("tool_chats", "(", "valid regular expression"),
        ("unknown_chat", "make", "'stub' or 'dead-letter'"),
        ("table_prefix", 'x"; DROP', "match pattern"),
    ],
)
def test_a_wrong_setting_is_told_with_what_was_expected(field, value, told):
    with pytest.raises(ValueError, match=told) as refused:
        ChatsSettings(**{field: value})
    assert field in str(refused.value)
