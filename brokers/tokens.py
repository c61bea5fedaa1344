"""OAuth tokens for SASL/OAUTHBEARER: from a file that somebody keeps fresh, or by the client credentials grant."""

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

import httpx
import orjson
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from schemas.settings import KafkaSettings

REQUEST_SECONDS = 10.0
EARLY = 0.2
"""A token is renewed when this share of its life is left."""

UNKNOWN_LIFE_SECONDS = 60.0
"""Of a token whose answer has no `expires_in` (RFC 6749, 5.1: it is recommended only)."""


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc] # aiokafka is untyped
    """Asked by aiokafka at every connection; one token serves until it is nearly over.

    Its errors are Kafka's, because aiokafka retries those and none else.
    """

    def __init__(self, kafka: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka, self._clock = kafka, clock
        self._token, self._renew_at = "", float("-inf")
        self._asking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def token(self) -> str:
        """Raises KafkaConnectionError for what may work later, AuthenticationFailedError for a refusal."""
        if self._kafka.oauth_token_file is not None:
            return await asyncio.to_thread(self._read)
        async with self._asking.setdefault(asyncio.get_running_loop(), asyncio.Lock()):  # Faust has two loops
            if self._clock() >= self._renew_at:
                self._token, life = await self._ask()
                self._renew_at = self._clock() + life * (1 - EARLY)
            return self._token

    def _read(self) -> str:
        file = self._kafka.oauth_token_file
        assert file is not None
        try:
            found = file.read_text().strip()
        except OSError as error:
            raise KafkaConnectionError(f"RENDERCAST_KAFKA__OAUTH_TOKEN_FILE: {error}") from error
        if not found:
            raise KafkaConnectionError(f"RENDERCAST_KAFKA__OAUTH_TOKEN_FILE: {file} is empty")
        return found

    async def _ask(self) -> tuple[str, float]:
        """A token and its life in seconds (RFC 6749, 4.4)."""
        kafka, secret = self._kafka, self._kafka.oauth_client_secret
        form = {"grant_type": "client_credentials"} | ({"scope": kafka.oauth_scope} if kafka.oauth_scope else {})
        where = f"the token endpoint {kafka.oauth_token_url}"
        try:
            async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
                answer = await client.post(
                    kafka.oauth_token_url or "", data=form,
                    auth=(kafka.oauth_client_id or "", secret.get_secret_value() if secret else ""),
                )  # fmt: skip
        except httpx.HTTPError as error:
            raise KafkaConnectionError(f"{where}: {str(error) or type(error).__name__}") from error
        if answer.status_code in (400, 401, 403):
            raise AuthenticationFailedError(f"{where} refuses RENDERCAST_KAFKA__OAUTH_CLIENT_ID: {answer.text[:200]}")
        try:
            found = orjson.loads(answer.content)
            token, life = found["access_token"], float(found.get("expires_in") or UNKNOWN_LIFE_SECONDS)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise KafkaConnectionError(f"{where} answered {answer.status_code} without a token") from error
        if not isinstance(token, str) or not token:
            raise KafkaConnectionError(f"{where} answered a token that is no text")
        return token, life
