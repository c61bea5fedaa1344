"""Orders in the memory of this process, where there is no chat database: for a while, and a bounded number."""

from collections import OrderedDict
from datetime import datetime, timedelta

from connectors.gateway.errors import try_later
from connectors.gateway.orders import AnyOrder, Order

KEEP_SECONDS = 600.0
"""How long a key is remembered."""

MAX_KEYS = 10_000


class OrdersHere:
    """When too many are remembered, the oldest of which the upstream is not being asked is forgotten."""

    def __init__(self, wait_seconds: float) -> None:
        """An upstream may take `wait_seconds` to answer; a key is remembered for KEEP_SECONDS beyond that."""
        self._keep = timedelta(seconds=KEEP_SECONDS + wait_seconds)
        self._orders: OrderedDict[tuple[str, str], Order] = OrderedDict()

    async def begin(self, order: Order, *, forget_before: datetime, over: str | None = None) -> Order:
        if order.key is None:
            return order
        name = (order.subject, order.key)
        before = max(forget_before, order.asked_at - self._keep)
        found = self._orders.get(name)
        if found is not None and found.state != "refused" and found.attempt != over and not _is_old(found, before):
            return found
        self._forget(before)
        self._orders.pop(name, None)
        if len(self._orders) >= MAX_KEYS:
            raise try_later("Too many generations are being begun.")
        self._orders[name] = order
        return order

    async def save(self, order: Order, *, only_asked: bool = False) -> None:
        found = self._find(order)
        if found is not None and not (only_asked and found.state != "asked"):
            self._orders[order.subject, order.key or ""] = order

    async def again(self, order: AnyOrder) -> AnyOrder | None:
        found = self._find(order)
        return None if found is None else order.come_as_far_as(found)

    def _find(self, order: Order) -> Order | None:
        found = self._orders.get((order.subject, order.key or ""))
        return found if found is not None and found.attempt == order.attempt else None

    def _forget(self, before: datetime) -> None:
        for name, each in list(self._orders.items()):
            if not _is_old(each, before) and len(self._orders) < MAX_KEYS:
                break
            if each.state != "asked":
                del self._orders[name]


def _is_old(order: Order, before: datetime) -> bool:
    return order.state != "asked" and order.asked_at <= before
