"""How to reach the brokers: the arguments that every Kafka client takes, from the settings.

Under `streams` and `connectors`, which share nothing else.
"""

from brokers.reach import WELCOME, arguments, look, no_broker, require_token

__all__ = ["WELCOME", "arguments", "look", "no_broker", "require_token"]
