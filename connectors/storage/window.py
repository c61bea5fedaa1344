"""Which records of one partition are taken, and how far it may be committed. Pure."""


class Window:
    """Records are settled in any order; the committed offset passes the oldest that is not."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: set[int] = set()
        self._next: int | None = None

    @property
    def room(self) -> int:
        """How many more records may be taken: the oldest open one holds up a bounded number."""
        if self._next is None or not self._open:
            return self._size
        return max(0, self._size - (self._next - min(self._open)))

    @property
    def next(self) -> int | None:
        """The offset after the last taken record; None before the first."""
        return self._next

    @property
    def settled(self) -> int | None:
        """The offset below which every record is settled; None before the first was taken."""
        return min(self._open, default=self._next)

    def take(self, offset: int) -> None:
        assert self._next is None or offset >= self._next, "a record was taken before"
        self._open.add(offset)
        self._next = offset + 1

    def settle(self, offset: int) -> None:
        self._open.remove(offset)
