"""Who may do what. The only value of the setting `auth` today lets everybody do everything, and says so at start."""

from typing import Literal

from starlette.requests import Request

from connectors.gateway.channels import ALL
from connectors.gateway.errors import Problem
from connectors.gateway.settings import GatewaySettings

Action = Literal["track", "check", "cancel", "read"]


class Access:
    """Every route asks here before it does anything."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    def warning(self) -> str | None:
        """What an operator should know of these settings."""
        if self._settings.auth == "off":
            return "authorization is off: everybody who reaches this address may read, track, check and cancel"
        return None

    def authorize(self, _request: Request, _action: Action, channels: tuple[str, ...]) -> None:
        """Raises Problem 403 where the action on these channels is not allowed."""
        if ALL in channels and not self._settings.all_channel:
            raise Problem(403, "The channel `all` is switched off here; name a file, a project or a user.")
