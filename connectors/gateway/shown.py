"""What the gateway reads of a job's document: the state machine's own fields are never read."""

from connectors.gateway.changes import Change
from schemas import JobView
from schemas.base import ChatRef
from schemas.codec import NOTHING, Decoder, encode


class ShownJob(JobView):
    """What everybody may see, and the chats that are told of it."""

    chats: tuple[ChatRef, ...] = ()

    def change(self, seq: int, partition: int, offset: int) -> Change:
        """The change that this document of that place is."""
        return Change(
            seq, partition, offset, self.file_id, self.generation, self.status, self.outcome, self.project_id,
            self.user_id, tuple(dict.fromkeys(each.chat_id for each in self.chats)), self.finished_at,
            encode(self.changed({"chats": NOTHING})),
        )  # fmt: skip


decode_shown: Decoder[ShownJob] = Decoder(ShownJob)
"""A record of the topic of jobs."""
