"""The storage sink: copies each result from the upstream's URL into an object store, and tells where it is."""

from connectors.storage.settings import StorageSettings
from connectors.storage.sink import StorageSink

__all__ = ["StorageSettings", "StorageSink"]
