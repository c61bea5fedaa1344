"""Sending what can never work to the dead-letter topic."""

from aiokafka import AIOKafkaProducer

from schemas.dead_letters import DeadLetter
from schemas.topics import Topics


async def send_dead_letter(producer: AIOKafkaProducer, topics: Topics, letter: DeadLetter) -> None:
    """Returns when the broker has it: only then may the offset of the bad record move on."""
    await producer.send_and_wait(
        topics.dead_letters, key=letter.short_key(), value=letter.body(), headers=letter.headers()
    )
