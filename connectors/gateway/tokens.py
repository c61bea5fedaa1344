"""JSON Web Tokens as what they say, once their signature, times, issuer and audience have been checked."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from connectors.gateway.errors import Problem, try_later
from connectors.gateway.grants import CLAIM, Grants, parse_grants
from connectors.gateway.settings import GatewaySettings
from schemas.errors import StopProcess

log = structlog.get_logger()

_KEYS_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 10.0
"""Tokens with unknown key ids can be made by anybody: the issuer is not asked more often than this."""
_LONGEST = 16_384
_PUBLIC = ["RS256", "ES256"]


@dataclass(frozen=True, slots=True)
class Claims:
    """`expires_at` in seconds since 1970."""

    subject: str
    grants: Grants
    expires_at: float


class Tokens:
    """A secret takes HS256 alone and a public key never does: a token cannot choose how it is checked."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._published = PublishedKeys(settings.jwks_url, settings.jwks_cache_seconds) if settings.jwks_url else None
        self._public: Any = None
        if settings.jwt_public_key is not None:
            self._public = _public_key(settings.jwt_public_key)
        if not (settings.jwt_secret or self._public or self._published):
            raise StopProcess(
                "RENDERCAST_GATEWAY__AUTH is jwt, and there is no key to check tokens with: give "
                "RENDERCAST_GATEWAY__JWT_SECRET, JWT_PUBLIC_KEY or JWKS_URL; or set AUTH to off, for development"
            )

    async def read(self, token: str) -> Claims:
        """Raises Problem 401, which tells everybody the same, or 503 while the issuer's keys cannot be had."""
        try:
            key, algorithms = await self._key(_header(token))
            return _claims(self._decoded(token, key, algorithms))
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            log.info("token refused", reason=f"{type(error).__name__}: {error}")
            raise unauthorized("The token is not valid here.") from error

    def _decoded(self, token: str, key: Any, algorithms: list[str]) -> dict[str, Any]:
        settings = self._settings
        return jwt.decode(
            token, key, algorithms,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            leeway=settings.jwt_leeway_seconds,
            options={"require": ["exp", "sub"], "verify_aud": settings.jwt_audience is not None},
        )  # fmt: skip

    async def _key(self, header: dict[str, Any]) -> tuple[Any, list[str]]:
        algorithm = header.get("alg")
        if algorithm == "HS256" and self._settings.jwt_secret is not None:
            return self._settings.jwt_secret.get_secret_value(), ["HS256"]
        if algorithm in _PUBLIC and self._public is not None:
            return self._public, [algorithm]
        if algorithm in _PUBLIC and self._published is not None:
            return await self._published.key(header.get("kid"), algorithm), [algorithm]
        raise ValueError(f"no key for the algorithm {str(algorithm)[:20]!r}")


class PublishedKeys:
    """The issuer's keys by id, asked for when they are old or one is missing. Old ones serve while it is away."""

    def __init__(self, url: str, cache_seconds: float) -> None:
        self._url, self._cache_seconds = url, cache_seconds
        self._keys: dict[tuple[str | None, str], Any] = {}
        self._asked_at = self._known_at = float("-inf")
        self._asking = asyncio.Lock()

    async def key(self, kid: str | None, algorithm: str) -> Any:
        """Raises ValueError for a key that is not published, Problem 503 while none is known."""
        wanted = kid, algorithm
        # While somebody else asks, known keys serve: an issuer that is slow, and a token that names a key that does not
        # exist, would else hold up everybody.
        if wanted not in self._keys or (self._is_old() and not self._asking.locked()):
            async with self._asking:
                now = time.monotonic()
                if (self._is_old() or wanted not in self._keys) and now - self._asked_at > _ASK_AGAIN_SECONDS:
                    self._asked_at = now
                    await self._ask()
        if not self._keys:
            raise try_later("The issuer's keys cannot be had.")
        found = self._keys.get(wanted)
        if found is None:
            raise ValueError("the issuer publishes no such key")
        return found

    def _is_old(self) -> bool:
        return time.monotonic() - self._known_at > self._cache_seconds

    async def _ask(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=_KEYS_SECONDS) as client:
                answer = await client.get(self._url)
            answer.raise_for_status()
            published = jwt.PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, AttributeError) as error:
            log.warning("the issuer's keys cannot be had", url=self._url, reason=f"{type(error).__name__}: {error}")
            return
        self._keys = {(each.key_id, each.algorithm_name): each.key for each in published.keys}
        self._known_at = time.monotonic()


def unauthorized(detail: str) -> Problem:
    """401 that says how to come in."""
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="rendercast"'})


def _header(token: str) -> dict[str, Any]:
    if len(token) > _LONGEST:
        raise ValueError("the token is too long")
    return jwt.get_unverified_header(token)


def _claims(found: dict[str, Any]) -> Claims:
    subject = found["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 300:  # noqa: PLR2004 - as any name of ours
        raise ValueError("sub: should be a text of 1 to 300 characters")
    if b"\0" in subject.encode():  # which raises ValueError for half of a surrogate pair
        raise ValueError("sub: has U+0000, which databases do not hold")
    return Claims(subject, parse_grants(found.get(CLAIM, {})), float(found["exp"]))


def _public_key(pem: str) -> Any:
    """Raises StopProcess for what is no public key: a private one, or a secret, has no business here."""
    try:
        return load_pem_public_key(pem.replace("\\n", "\n").encode())
    except ValueError as error:
        raise StopProcess("RENDERCAST_GATEWAY__JWT_PUBLIC_KEY: expected a public key as PEM") from error
