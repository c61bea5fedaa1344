"""Where a whole run is: on the broker that is named, else on one of its own; nothing of it is left there."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cluster import Cluster
from benchmarks.site import Site
from rich.console import Console

from rendercast.broker.local import LocalBroker, can_run
from rendercast.broker.obtain import NONE_FOUND
from schemas.errors import StopProcess


@contextlib.contextmanager
def place(console: Console) -> Iterator[Site]:
    """Raises StopProcess where there is no broker and none can be started."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        servers = os.environ.get("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS")
        if not servers:
            if not can_run():
                raise StopProcess(NONE_FOUND)
            servers = stack.enter_context(LocalBroker(directory / "kafka")).bootstrap_servers
        site = Site(Cluster(servers), directory)
        console.print(f"broker {servers}, topics {site.run}*")
        stack.enter_context(site.cleaned(site.run))
        yield site
