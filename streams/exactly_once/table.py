"""The Faust table: a view of the rows of all partitions held. It is read here and written by the lanes alone."""

from collections.abc import Iterator
from typing import Any, NoReturn

from faust.stores.base import Store
from faust.tables.table import Table
from yarl import URL


class LaneStore(Store):
    """`table.data`: rows by key, both as bytes, without a copy."""

    def _rows(self) -> list[dict[bytes, bytes]]:
        return [held.rows.documents for held in self.app.transport.lanes.held.values()]

    def get(self, key: bytes, default: Any = None) -> Any:
        return next((rows[key] for rows in self._rows() if key in rows), default)

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return bytes(value)

    def __contains__(self, key: object) -> bool:
        return any(key in rows for rows in self._rows())

    def __len__(self) -> int:
        return sum(map(len, self._rows()))

    def __iter__(self) -> Iterator[bytes]:
        for rows in self._rows():
            yield from rows

    def __setitem__(self, key: bytes, value: bytes) -> NoReturn:
        raise TypeError("rows are written by the lanes, in their transactions")

    def __delitem__(self, key: bytes) -> NoReturn:
        raise TypeError("rows are deleted by the lanes, in their transactions")

    def apply_changelog_batch(self, *_: Any) -> NoReturn:
        raise TypeError("rows are loaded by the lanes")

    def persisted_offset(self, _: Any) -> None:
        return None

    def reset_state(self) -> None:
        """The rows belong to the partitions held; Faust has nothing to reset."""

    async def backup_partition(self, *_: Any, **__: Any) -> None:
        """The changelog is the backup."""

    def restore_backup(self, *_: Any, **__: Any) -> None:
        """The changelog is the backup."""


class LaneTable(Table):
    """A Faust table over the lanes' rows."""

    def _new_store(self) -> LaneStore:
        return LaneStore(URL("lanes://"), self.app, self, table_name=self.name, loop=self.loop)
