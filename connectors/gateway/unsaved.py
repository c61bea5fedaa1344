"""What the database could not be told: it is known here, and told again until the database has it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

import structlog

from connectors.gateway.errors import Problem
from connectors.gateway.orders import AnyOrder, Order, Orders
from schemas.errors import RetryLater

log = structlog.get_logger()

SAVE_AGAIN_SECONDS = 1.0
MAX_UNSAVED = 10_000
"""When there are more, the oldest is given up: another gateway will call it unsure, or find its artifacts."""


class Unsaved:
    """The last state of each order that could not be kept."""

    def __init__(self, orders_of: Callable[[Order], Orders]) -> None:
        self._orders_of = orders_of
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._saving: asyncio.Task[None] | None = None

    async def save(self, order: Order) -> bool:
        """Whether it is kept now. Otherwise it will be."""
        if order.attempt not in self._orders:
            try:
                await self._orders_of(order).save(order)
            except (RetryLater, Problem) as error:
                log.warning("order not kept", state=order.state, reason=str(error), **order.names())
            else:
                return True
        self._orders[order.attempt] = order
        if len(self._orders) > MAX_UNSAVED:
            self._orders.popitem(last=False)
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_all())
        return False

    def known(self, order: AnyOrder) -> AnyOrder:
        """The order as it is known here."""
        found = self._orders.get(order.attempt)
        return order if found is None else order.come_as_far_as(found)

    async def close(self) -> None:
        """End without a last try: where the database is away, a repeat can only say that nobody knows."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)

    async def _save_all(self) -> None:
        while self._orders:
            await asyncio.sleep(SAVE_AGAIN_SECONDS)
            for order in list(self._orders.values()):
                try:
                    await self._orders_of(order).save(order)
                except RetryLater:
                    break
                except Problem as error:
                    if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:  # not of this order: a right, a password
                        break
                    log.warning("order given up", state=order.state, reason=str(error), **order.names())
                if self._orders.get(order.attempt) is order:
                    del self._orders[order.attempt]
