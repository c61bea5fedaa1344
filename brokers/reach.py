"""Settings become the arguments of aiokafka's clients; and a look at why a broker does not let one in."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Iterator
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import IllegalSaslStateError, KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from brokers.tokens import TokenProvider
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings

LOOK_MILLISECONDS = 3000
WELCOME = "lets us in; are its advertised addresses reachable from here?"
_ANOTHER = "it may expect another RENDERCAST_KAFKA__SECURITY_PROTOCOL"


_provider = functools.cache(TokenProvider)
"""One token serves all clients of a process."""


def arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """For any client of aiokafka. Raises StopProcess where a certificate or a key cannot be read."""
    return {"bootstrap_servers": kafka.servers, **_security(kafka)}


async def require_token(kafka: KafkaSettings) -> None:
    """Raises StopProcess where no broker takes our token: aiokafka would not notice, and wait for ever.

    A broker answers a refused token with a challenge (RFC 7628, 3.2.2), which aiokafka takes for success.
    """
    if kafka.sasl_mechanism == "OAUTHBEARER" and WELCOME not in (await look(kafka)).values():
        raise await no_broker(kafka)


async def no_broker(kafka: KafkaSettings) -> StopProcess:
    """The error of a client that could not start, with what each server says to a connection of these settings."""
    said = sorted(set((await look(kafka)).values()))
    return StopProcess(
        f"no Kafka broker lets us in at {kafka.bootstrap_servers} (RENDERCAST_KAFKA__BOOTSTRAP_SERVERS): "
        + "; ".join(said),
        bootstrap_servers=kafka.bootstrap_servers,
    )


async def look(kafka: KafkaSettings) -> dict[str, str]:
    """What each server says to a connection of these settings. Raises StopProcess as `arguments`."""
    said = await asyncio.gather(*(_said(each, _security(kafka)) for each in kafka.servers))
    return dict(zip(kafka.servers, said, strict=True))


async def _said(server: str, security: dict[str, Any]) -> str:
    host, _, port = server.rpartition(":")
    try:
        connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=LOOK_MILLISECONDS, **security)
    except TimeoutError:
        return f"no answer in time; {_ANOTHER}"
    except ConnectionResetError:  # by one without TLS, to which our greeting is no request
        return f"ends the connection; {_ANOTHER}"
    except IllegalSaslStateError:
        return f"asks for no password and no token; {_ANOTHER}"
    except KafkaConnectionError as error:
        return f"{error}; {_ANOTHER}, or a certificate (…__SSL_CERTFILE)"
    except (KafkaError, OSError) as error:
        return str(error) or type(error).__name__
    try:
        knows_brokers = bool((await connection.send(MetadataRequest([]))).brokers)
    except (KafkaError, TimeoutError):
        knows_brokers = False
    finally:
        connection.close()
    if knows_brokers:
        return WELCOME
    return "refuses our token" if "sasl_oauth_token_provider" in security else "answers, and knows no broker"


def _security(kafka: KafkaSettings) -> dict[str, Any]:
    found: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.uses_tls:
        found["ssl_context"] = _tls(kafka)
    if kafka.sasl_mechanism == "OAUTHBEARER":
        found |= {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": _provider(kafka)}
    elif kafka.sasl_mechanism is not None:
        password = kafka.sasl_password
        found |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return found


def _tls(kafka: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = kafka.ssl_check_hostname
    if kafka.ssl_cafile is not None:
        with _naming("SSL_CAFILE"):
            context.load_verify_locations(kafka.ssl_cafile)
    if kafka.ssl_certfile is not None:
        secret = kafka.ssl_key_password
        password = secret.get_secret_value() if secret else ""
        with _naming("SSL_CERTFILE, …__SSL_KEYFILE or …__SSL_KEY_PASSWORD"):
            # With a function: without one, OpenSSL would ask for a key's password at the terminal.
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, lambda: password)
    return context


@contextlib.contextmanager
def _naming(setting: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise StopProcess(f"RENDERCAST_KAFKA__{setting}: {error}") from error
