"""Every guard of the processor. A unit test keeps this table true: tests/unit/prove/test_mutations.py."""

from .ends import ENDS
from .fetching import FETCHING
from .lanes import LANES
from .mutation import Mutation
from .positions import POSITIONS
from .recovery import RECOVERY
from .rules import RULES
from .transactions import TRANSACTIONS

__all__ = ["MUTATIONS", "Mutation"]

MUTATIONS = (*RULES, *FETCHING, *LANES, *TRANSACTIONS, *POSITIONS, *ENDS, *RECOVERY)
