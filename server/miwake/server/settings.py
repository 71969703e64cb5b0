"""The server's settings: flag, then environment (``MIWAKE_PORT`` …), then TOML file, then default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, TomlConfigSettingsSource

from miwake.server.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import PydanticBaseSettingsSource

MIB = 1024 * 1024


class Settings(BaseSettings):
    """What can be set, with its default and what it means; lists in the environment are separated by commas."""

    model_config = SettingsConfigDict(env_prefix="MIWAKE_", extra="forbid", frozen=True)

    store: Path = Field(description="The folder that holds the stations.")
    stations: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="The stations to serve; all in the store where none is named."
    )
    address: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=50051, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, le=64, description="Processes that share the port.")
    tls_certificate: Path | None = Field(default=None, description="The server's certificate chain, PEM.")
    tls_key: Path | None = Field(default=None, description="Its private key, PEM.")
    tls_client_ca: Path | None = Field(default=None, description="Whose certificates clients must show, PEM.")
    token_file: Path | None = Field(default=None, description="The tokens that callers show, a line each: name token.")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="The port for Prometheus metrics over HTTP; none where not set."
    )
    metrics_address: str | None = Field(
        default=None, description="Where metrics are served; a loopback address where not set."
    )
    verdict_log: Path | None = Field(default=None, description="The folder of the verdict log; none where not set.")
    verdict_log_bytes: int = Field(
        default=2048 * MIB,
        ge=16 * MIB,
        description="Bytes of the verdict log; beyond, its oldest segments are removed.",
    )
    max_batch: int = Field(default=128, ge=1, le=4096, description="Vectors computed together.")
    queue_limit: int = Field(default=4096, ge=1, description="Vectors that wait for the compute thread, all callers'.")
    max_streams: int = Field(default=4096, ge=1, le=16384, description="Open Inspect streams, all callers'.")
    max_calls: int = Field(default=256, ge=1, le=4096, description="Other calls at once, all callers'.")
    stream_window: int = Field(default=256, ge=1, description="Vectors of one stream accepted and not yet answered.")
    resume_s: float = Field(default=60, ge=0, description="Seconds in which a stream whose call broke can go on.")
    parked_bytes: int = Field(default=256 * MIB, ge=0, description="Bytes kept for streams whose calls broke.")
    max_neighbours: int = Field(default=100, ge=1, description="Neighbours that one answer may hold.")
    max_vectors: int = Field(default=2048, ge=1, description="Vectors in one message.")
    max_message_bytes: int = Field(default=16 * MIB, ge=MIB, description="Bytes of one message.")
    max_metadata_bytes: int = Field(default=16384, ge=1024, description="Bytes of the metadata of one call.")
    drain_timeout_s: float = Field(default=30, ge=0, description="Seconds to answer what is accepted before the end.")
    poll_s: float = Field(default=0.25, gt=0, description="Seconds between two looks for a new generation.")
    keepalive_s: float = Field(default=20, ge=1, description="Seconds of silence before a client is asked for a sign.")
    ping_timeout_s: float = Field(default=10, ge=1, description="Seconds a client has to give that sign.")

    @pydantic.field_validator("stations", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put flags before the environment, and the environment before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def resolve(flags: Mapping[str, Any], config: Path | None) -> Settings:
    """Return the settings.

    Parameters
    ----------
    flags : mapping
        What the command line gave, by setting; None means that it gave nothing.
    config : Path or None
        The TOML file.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a setting is missing, unknown or out of its bounds; the message names it.
    """
    if config is not None and not config.is_file():
        message = f"{config}: no such file"
        raise SettingsError(message)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        return FromFile(**{name: value for name, value in flags.items() if value is not None})
    except pydantic.ValidationError as error:
        raise SettingsError(_explain(error)) from error
    except ValueError as error:  # tomllib's error is one
        message = f"{config}: {error}"
        raise SettingsError(message) from error


def _explain(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(step) for step in first["loc"])
    came = "" if first["type"] == "missing" else f", came {first['input']!r}"
    return f"setting {name}: {first['msg']}{came}"
