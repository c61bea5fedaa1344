"""Who asks, and what they may do. A token comes as a bearer, or in a cookie where a browser cannot send one."""

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from connectors.gateway.channels import ALL
from connectors.gateway.errors import Problem
from connectors.gateway.grants import EVERYTHING, Action, Grants
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.subjects import Subjects
from connectors.gateway.tokens import Tokens, unauthorized

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
NOBODY = "-"
"""The subject of everybody, where authorization is off."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request. `expires_in` is how many seconds the token is good for; None: for ever."""

    subject: str
    grants: Grants
    all_channel: bool
    expires_in: float | None = None

    def require_all(self, action: Action, channels: tuple[str, ...]) -> None:
        """Raises Problem 403 unless the action is allowed on each of the channels."""
        if ALL in channels and not self.all_channel:
            raise Problem(403, "The channel `all` is switched off here; name a file, a project, a user or a chat.")
        self.grants.require_all(action, channels)


class Access:
    """Every route asks here before it does anything. Raises StopProcess for settings that let nobody in."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._tokens = Tokens(settings) if settings.auth == "jwt" else None
        self.subjects = Subjects(settings)

    def warning(self) -> str | None:
        """What an operator should know of these settings."""
        if self._tokens is None:
            return (
                "authorization is off: everybody who reaches this address may read, track, check, cancel and generate"
            )
        return None

    async def caller(self, request: Request) -> Caller:
        """Raises Problem 401 without a valid token, 403 for a request that another site has sent, 429 at the limit."""
        if self._tokens is None:
            return Caller(NOBODY, EVERYTHING, self._settings.all_channel)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            token = request.cookies.get(self._settings.cookie, "")
            if token and request.method not in _SAFE:
                self._require_own_site(request)
        if not token.strip():
            raise unauthorized(f"Send a token: `Authorization: Bearer …`, or the cookie `{self._settings.cookie}`.")
        claims = await self._tokens.read(token.strip())
        self.subjects.count(claims.subject, time.monotonic())
        return Caller(claims.subject, claims.grants, self._settings.all_channel, claims.expires_at - time.time())

    def _require_own_site(self, request: Request) -> None:
        """A browser sends cookies with whatever any page asks for: this has to come from ours, or one that is named."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._settings.cors_origins:
            return
        if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise Problem(403, "With a cookie this can be asked from this site only; send a bearer token.")
