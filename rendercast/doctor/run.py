"""All examinations, side by side; their findings in a fixed order."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal, get_args

from rendercast.doctor import database, gateway, kafka, store, upstream
from rendercast.doctor.finding import Finding, Findings, wrong
from rendercast.rights import Process
from rendercast.settings import Settings
from schemas.errors import RetryLater, StopProcess

Subject = Literal["kafka", "upstream", "database", "store", "gateway"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
SECONDS = 60.0
"""For one examination, whatever hangs."""


async def run(
    settings: Settings, subjects: Collection[Subject], processes: Sequence[Process]
) -> AsyncIterator[Finding]:
    """The findings, subject by subject, each as soon as those before it are told."""
    tasks = [
        asyncio.create_task(_all(subject, _examination(subject, settings, processes)))
        for subject in SUBJECTS
        if subject in subjects
    ]
    try:
        for each in tasks:
            for finding in await each:
                yield finding
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _examination(subject: Subject, settings: Settings, processes: Sequence[Process]) -> Findings:
    match subject:
        case "kafka":
            return kafka.examine(settings, processes)
        case "upstream":
            return upstream.examine(settings)
        case "database":
            return database.examine(settings)
        case "store":
            return store.examine(settings)
        case "gateway":
            return gateway.examine(settings)


async def _all(subject: Subject, findings: Findings) -> list[Finding]:
    """What goes wrong in an examination is a finding, too: the others are still told."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(SECONDS):
            async for each in findings:
                found.append(each)  # noqa: PERF401 - what was found stays, when the rest fails
    except TimeoutError:
        found.append(wrong(subject, f"no answer within {SECONDS:g} s", "Look at the network between us and it."))
    except (StopProcess, RetryLater) as error:
        found.append(wrong(subject, str(error), "Correct what is named, or start what does not answer."))
    except Exception as error:  # noqa: BLE001 - a doctor falls ill for nobody
        found.append(wrong(subject, f"{type(error).__name__}: {error}", "This was not foreseen: please report it."))
    return found
