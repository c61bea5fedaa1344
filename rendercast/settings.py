"""All settings, from `RENDERCAST_<SECTION>__<FIELD>` or files that `…_FILE` names."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
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


_NO_LIST = frozenset({"list_type", "tuple_type", "set_type", "frozen_set_type"})


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
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        unknown += [_wrong(each) for each in wrong]
    if unknown:
        raise StopProcess("settings:\n  " + "\n  ".join(unknown))
    return found


def _wrong(error: ErrorDetails) -> str:
    """Which variable is wrong, how, and what stands there."""
    place = [str(part) for part in error["loc"]]
    words = 'expected a list as JSON: ["a", "b"], [1, 2]' if error["type"] in _NO_LIST else error["msg"]
    section = Settings.model_fields[place[0]].annotation
    fields = section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else {}
    meaning = fields[place[1]].description if len(place) > 1 and place[1] in fields else None
    return f"{PREFIX}{'__'.join(place).upper()}: {words}{f' ({meaning})' if meaning else ''}"


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
