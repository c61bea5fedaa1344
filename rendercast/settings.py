"""All settings, from `RENDERCAST_<SECTION>__<FIELD>` or files that `…_FILE` names."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from connectors.chats.settings import ChatsSettings
from connectors.gateway.settings import GatewaySettings
from connectors.storage.settings import StorageSettings
from connectors.upstream.settings import ConnectorSettings
from rendercast.simulator.settings import SimulatorSettings
from schemas.environment import PREFIX, Environment
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, Section, TopicSettings
from streams.settings import ProcessorSettings
from tracing import TracingSettings


class MonitoringSettings(Section):
    """Where a process answers `/healthz`, `/readyz` and `/metrics`."""

    host: str = "127.0.0.1"
    port: int = Field(default=9464, ge=0, le=65_535, description="0: any free one, told in the log")


class LogSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Environment):
    """Each section is handed to the room that it belongs to."""

    model_config = SettingsConfigDict(extra="forbid")

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    log: LogSettings = LogSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    tracing: TracingSettings = TracingSettings()
    connector: ConnectorSettings = ConnectorSettings()
    processor: ProcessorSettings = ProcessorSettings()
    chats: ChatsSettings = ChatsSettings()
    storage: StorageSettings = StorageSettings()
    gateway: GatewaySettings = GatewaySettings()
    simulator: SimulatorSettings = SimulatorSettings()


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings, or StopProcess with one line per wrong variable."""
    unknown = [
        f"{name}: there is no such setting; sections are {', '.join(Settings.model_fields)}"
        for name in environment
        if name.startswith(PREFIX)
        and not name.startswith(f"{PREFIX}TEST_")
        and name.removeprefix(PREFIX).lower().partition("__")[0] not in Settings.model_fields
    ]
    try:
        found = Settings()
    except ValidationError as error:
        unknown += [
            f"{PREFIX}{'__'.join(str(part).upper() for part in each['loc'])}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    if unknown:
        raise StopProcess("settings:\n  " + "\n  ".join(unknown))
    return found


def reached(servers: str) -> KafkaSettings:
    """How to reach these servers: as the environment says where it names them; a broker of our own asks for nothing."""
    named = load().kafka
    return named if named.bootstrap_servers == servers else KafkaSettings(bootstrap_servers=servers)


def kafka_variables(kafka: KafkaSettings) -> dict[str, str]:
    """What tells another process of ours how to reach the same brokers. Secrets are in it."""
    told = {name: getattr(kafka, name) for name in sorted(kafka.model_fields_set | {"bootstrap_servers"})}
    return {
        f"{PREFIX}KAFKA__{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in told.items()
        if value is not None
    }


def flat(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each setting under the name of its environment variable; secrets are masked."""
    return _flat(PREFIX, settings.model_dump(mode="json"))


def _flat(path: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        variable = f"{path}{name.upper()}"
        if isinstance(value, dict) and value:
            yield from _flat(f"{variable}__", value)
        else:
            yield variable, "" if value is None else str(value)
