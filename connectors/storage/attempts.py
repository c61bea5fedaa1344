"""How often a copy is tried, and what is done between two tries.

What is at fault decides: while the store is away everything waits, however long. A host or an object that may come
right has a number of tries. A URL that has expired has them too, and after each the file's check is asked for: the
processor tells a fresh URL as a request of its own, and this one, seen to be replaced, is done.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

import stamina
import structlog

from connectors.storage.copier import Copier
from connectors.storage.fetch import UrlExpired
from connectors.storage.metrics import IN_FLIGHT, RETRIES
from connectors.storage.settings import StorageSettings
from connectors.storage.slots import Slots
from connectors.storage.store import StoreAway
from connectors.storage.troubles import Troubles
from schemas import StorageRequest, Stored
from schemas.errors import RejectRecord, RendercastError, RetryLater

log = structlog.get_logger()

Ask = Callable[[StorageRequest, int], Awaitable[None]]


class Attempts:
    """`ask` asks for a check of the request's file, in a partition.

    `busy` has the tasks that are copying or have copied; the others wait for room or for their next try.
    """

    def __init__(self, settings: StorageSettings, copier: Copier, troubles: Troubles, ask: Ask) -> None:
        self._settings = settings
        self._copier = copier
        self._troubles = troubles
        self._ask = ask
        self._slots = Slots(settings.concurrency, settings.concurrency_per_host)
        self.busy: set[asyncio.Task[None] | None] = set()

    async def copy(
        self, request: StorageRequest, at: datetime, is_replaced: Callable[[], bool], partition: int
    ) -> Stored | None:
        """Where the copy is; None once another request has taken this one's place.

        Raises RejectRecord, after the last try with the fact `attempts`.
        """
        settings, made = self._settings, 0
        async for outer in stamina.retry_context(
            on=StoreAway, attempts=None, timeout=None, wait_initial=0.5, wait_max=settings.retry_wait_max_seconds
        ):
            with outer, self._noting_the_store():
                try:
                    async for attempt in stamina.retry_context(
                        on=self._may_help,
                        attempts=settings.attempts,
                        timeout=None,
                        wait_initial=settings.retry_wait_seconds,
                        wait_max=settings.retry_wait_max_seconds,
                    ):
                        with attempt:
                            if is_replaced():
                                return None
                            made = attempt.num
                            return await self._once(request, at, partition)
                except StoreAway:
                    raise
                except RetryLater as error:
                    reason = str(error.facts.get("reason", "gave_up"))
                    raise RejectRecord(reason, str(error), attempts=made) from error
                except RejectRecord as error:
                    error.facts["attempts"] = made
                    raise
        raise AssertionError("the loop ends by an answer or an error")

    async def _once(self, request: StorageRequest, at: datetime, partition: int) -> Stored:
        task = asyncio.current_task()
        async with self._slots.of(request.url):
            self.busy.add(task)
            try:
                with IN_FLIGHT.track_inprogress():
                    return await self._copier.copy(request, at)
            except BaseException as error:
                self.busy.discard(task)
                if isinstance(error, UrlExpired):
                    await self._ask(request, partition)
                if isinstance(error, Exception) and not isinstance(error, RendercastError):
                    # Whatever a host says must not end the process: it would come again after every start.
                    log.exception("copy failed", file_id=request.file_id, generation=request.generation)
                    raise RejectRecord("internal", f"{type(error).__name__}: {error}") from error
                raise

    def _may_help(self, error: Exception) -> bool | float:
        """Whether to try again, or in how many seconds the host says so."""
        if not isinstance(error, RetryLater) or isinstance(error, StoreAway):
            return False
        RETRIES.labels(error.facts.get("reason", "other")).inc()
        return True if error.after is None else min(error.after, self._settings.retry_wait_max_seconds)

    @contextlib.contextmanager
    def _noting_the_store(self) -> Iterator[None]:
        try:
            yield
        except StoreAway as error:
            RETRIES.labels("store").inc()
            self._troubles.note("store", error)
            raise
        except RejectRecord:
            self._troubles.over("store")
            raise
        else:
            self._troubles.over("store")
