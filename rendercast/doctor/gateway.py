"""The gateway's keys: whether a token can be checked."""

import httpx
import jwt

from connectors.gateway.access import Access
from rendercast.doctor.finding import Findings, doubtful, good, wrong
from rendercast.settings import Settings
from schemas.errors import StopProcess

_SECONDS = 5.0


async def examine(settings: Settings) -> Findings:
    """The issuer is asked for its keys, as the gateway would."""
    gateway, about = settings.gateway, "gateway's keys"
    try:
        access = Access(gateway)
    except StopProcess as error:
        yield wrong(about, str(error), "Give one of them; see docs/gateway.md.")
        return
    warning = access.warning()
    if warning:
        yield doubtful(about, warning, "Set RENDERCAST_GATEWAY__AUTH to jwt wherever others can reach it.")
        return
    if gateway.jwks_url is None:
        yield good(about, "there is a key to check tokens with")
        return
    try:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            answer = (await client.get(gateway.jwks_url)).raise_for_status()
        keys = jwt.PyJWKSet.from_dict(answer.json()).keys
    except (httpx.HTTPError, jwt.PyJWTError, ValueError, AttributeError) as error:
        yield wrong(
            about, f"{gateway.jwks_url}: {str(error) or type(error).__name__}",
            "Correct RENDERCAST_GATEWAY__JWKS_URL, or let this machine reach it.",
        )  # fmt: skip
        return
    yield good(about, f"{gateway.jwks_url} publishes {len(keys)}")
