"""Settings from the environment, secrets from files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.errors import StopProcess

PREFIX = "RENDERCAST_"
_FILE = "_file"


class Environment(BaseSettings):
    """`RENDERCAST_<SECTION>__<FIELD>`; or `RENDERCAST_<SECTION>__<FIELD>_FILE`, a file that holds the value.

    The latter is for secrets, which orchestrators mount as files; the line's end is not part of them.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _WithFiles(settings_cls)


class _WithFiles(EnvSettingsSource):
    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = dict(super()._load_env_vars())
        for name in [each for each in found if self._names_a_file(each)]:
            path, setting = found.pop(name), name.removesuffix(_FILE)
            if setting in found:
                raise StopProcess(f"settings: {name.upper()} and {setting.upper()} are both set: leave one out")
            found[setting] = _read(name, path or "")
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """What is no JSON is left to the field, which refuses it by its name."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            return value

    def _names_a_file(self, name: str) -> bool:
        """Some settings are called so themselves: `oauth_token_file`."""
        section, _, field = name.removeprefix(PREFIX.lower()).partition("__")
        if not name.startswith(PREFIX.lower()) or section not in self.settings_cls.model_fields:
            return False
        model = self.settings_cls.model_fields[section].annotation
        fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        return field not in fields and field.endswith(_FILE) and field.removesuffix(_FILE) in fields


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StopProcess(f"settings: {name.upper()}: {error}") from error
