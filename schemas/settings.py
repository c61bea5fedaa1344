"""Settings that every process shares. Read from `RENDERCAST_KAFKA__…` and `RENDERCAST_TOPICS__…`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.topics import Topics

_SERVER = r"(\[[0-9a-fA-F:.]+\]|[^\s,:\[\]]+):[0-9]{1,5}"


class Section(BaseModel):
    """A group of settings. A name that does not exist is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """Where the brokers are."""

    bootstrap_servers: Annotated[
        str, StringConstraints(pattern=rf"^\s*{_SERVER}(\s*,\s*{_SERVER})*\s*$", strip_whitespace=True)
    ] = Field(default="localhost:9092", description="host:port, or several with commas")
    start_timeout_seconds: float = Field(default=12, gt=0, description="how long a process waits for a broker at start")

    @property
    def servers(self) -> list[str]:
        return [each.strip() for each in self.bootstrap_servers.split(",") if each.strip()]


class TopicSettings(Section):
    """How the topics are called and cut. Every topic has the same number of partitions."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = "render."
    partitions: int = Field(default=8, ge=1, le=1024, description="of every topic; 64 in production")
    replication: int = Field(default=1, ge=1, le=9, description="3 in production")

    @property
    def names(self) -> Topics:
        return Topics(self.prefix)
