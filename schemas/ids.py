"""Ids that everybody can derive: the same facts give the same id, so that a repeat is seen as one."""

from uuid import UUID, uuid5

NAMESPACE = UUID("6f0d3c1e-8f2b-5a53-9f0a-3b1d2c4e5f60")
"""Name space of all derived ids: `uuid5(NAMESPACE, "kind/part/part")`."""


def outcome_id(file_id: str, generation: str, outcome: str) -> str:
    """The `id` of a completion. A consumer that has seen it has seen this outcome of this generation."""
    return str(uuid5(NAMESPACE, f"outcome/{file_id}/{generation}/{outcome}"))


def anonymous_generation(file_id: str, issued_at: str) -> str:
    """The generation of a Track that names none: the same command sent twice makes the same one."""
    return str(uuid5(NAMESPACE, f"generation/{file_id}/{issued_at}"))


def message_id(chat_id: str, file_id: str, generation: str) -> str:
    """The message that shows a generation in a chat when nobody named one: made once, however often it is made."""
    return str(uuid5(NAMESPACE, f"message/{chat_id}/{file_id}/{generation}"))


def chat_uuid(chat_id: str) -> str:
    """A UUID for a chat that has only a name (`video-generator-tool`), for columns that take nothing else."""
    return str(uuid5(NAMESPACE, f"chat/{chat_id}"))
