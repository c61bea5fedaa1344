"""What can happen to the processors under test."""

from typing import Literal

Fault = Literal["kill", "freeze", "roll", "scale", "broker", "reset", "aborts"]
FAULTS: dict[Fault, str] = {
    "kill": "SIGKILL, and a new start",
    "freeze": "SIGSTOP for longer than the session, then SIGCONT",
    "roll": "SIGTERM, which has to end it in order within 10 s, and a new start",
    "scale": "a worker more, or one less",
    "broker": "kill -9 of the broker, and a new start; only of a local broker of our own",
    "reset": "at the end the group's offsets go to the beginning: nothing may come of it",
    "aborts": "the source topics are written in transactions, and some of them are aborted",
}
ORDINARY: tuple[Fault, ...] = ("kill", "freeze", "roll", "scale", "reset", "aborts")
"""What every cluster can be used for."""
