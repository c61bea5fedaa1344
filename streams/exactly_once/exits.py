"""The one way out: whatever goes wrong in this room ends the process, and a supervisor starts it again.

Faust logs some exceptions of its services and lives on; a half-dead worker would hold its partitions and lose what it
was given. So nothing here is caught to be carried on from.
"""

import os
import sys
from typing import NoReturn

import structlog

EXIT_STATUS = 70
"""EX_SOFTWARE: restart me. (1 is for what needs an operator.)"""

log = structlog.get_logger()


def end_process(why: str, *, status: int = EXIT_STATUS, **facts: object) -> NoReturn:
    """Say why, and end at once: no handler, no buffer, no other task runs after this."""
    log.critical("process ends", why=why, **facts)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
