"""Settings that every process shares. Read from `RENDERCAST_KAFKA__…` and `RENDERCAST_TOPICS__…`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from schemas.topics import Topics

_SERVER = r"(\[[0-9a-fA-F:.]+\]|[^\s,:\[\]]+):[0-9]{1,5}"


class Section(BaseModel):
    """A group of settings. A name that does not exist is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """Where the brokers are, and how they know us. The names are those of Kafka's clients."""

    bootstrap_servers: Annotated[
        str, StringConstraints(pattern=rf"^\s*{_SERVER}(\s*,\s*{_SERVER})*\s*$", strip_whitespace=True)
    ] = Field(default="localhost:9092", description="host:port, or several with commas")
    start_timeout_seconds: float = Field(default=12, gt=0, description="how long a process waits for a broker at start")

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="for SASL_PLAINTEXT and SASL_SSL"
    )
    sasl_username: str | None = Field(default=None, min_length=1, description="for PLAIN and SCRAM")
    sasl_password: SecretStr | None = Field(default=None, min_length=1, description="for PLAIN and SCRAM")
    ssl_cafile: Path | None = Field(
        default=None, description="PEM of who signed the brokers' certificates; the system's"
    )
    ssl_certfile: Path | None = Field(
        default=None, description="PEM of our certificate, where brokers ask for one (mTLS)"
    )
    ssl_keyfile: Path | None = Field(default=None, description="PEM of its key, where it is not in SSL_CERTFILE")
    ssl_key_password: SecretStr | None = Field(default=None, description="of that key, if it has one")
    ssl_check_hostname: bool = Field(
        default=True, description="false: any host of a certificate that is signed will do"
    )
    oauth_token_file: Path | None = Field(
        default=None, description="for OAUTHBEARER: a token that somebody keeps fresh, read at each connection"
    )
    oauth_token_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="for OAUTHBEARER: the token endpoint (RFC 6749, 4.4)",
    )
    oauth_client_id: str | None = Field(default=None, min_length=1, description="with OAUTH_TOKEN_URL")
    oauth_client_secret: SecretStr | None = Field(default=None, min_length=1, description="with OAUTH_TOKEN_URL")
    oauth_scope: str | None = Field(default=None, min_length=1, description="with OAUTH_TOKEN_URL, if it wants one")

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        for wrong, words in self._contradictions():
            if wrong:
                raise ValueError(words)
        return self

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        sasl, mechanism = self.security_protocol.startswith("SASL_"), self.sasl_mechanism
        by_password = self.sasl_username is not None and self.sasl_password is not None
        by_client = None not in (self.oauth_token_url, self.oauth_client_id, self.oauth_client_secret)
        tls = (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)
        yield sasl and mechanism is None, f"{self.security_protocol} needs SASL_MECHANISM"
        yield not sasl and mechanism is not None, "SASL_MECHANISM needs SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT"
        if mechanism == "OAUTHBEARER":
            one = (self.oauth_token_file is not None) != by_client
            yield (
                not one,
                "OAUTHBEARER needs OAUTH_TOKEN_FILE, or OAUTH_TOKEN_URL with OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET",
            )
        elif mechanism is not None:
            yield not by_password, f"{mechanism} needs SASL_USERNAME and SASL_PASSWORD"
        yield any(tls) and not self.uses_tls, "SSL_… needs SECURITY_PROTOCOL SSL or SASL_SSL"
        yield self.ssl_keyfile is not None and self.ssl_certfile is None, "SSL_KEYFILE needs SSL_CERTFILE"

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def servers(self) -> list[str]:
        return [each.strip() for each in self.bootstrap_servers.split(",") if each.strip()]


class TopicSettings(Section):
    """How the topics are called and cut. Every topic has the same number of partitions."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = Field(
        default="render.", description="of every topic's name, and of the groups'"
    )
    partitions: int = Field(default=8, ge=1, le=1024, description="of every topic; 64 in production")
    replication: int = Field(default=1, ge=1, le=9, description="3 in production")

    @property
    def names(self) -> Topics:
        return Topics(self.prefix)
