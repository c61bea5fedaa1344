"""Settings of the storage sink, read from `RENDERCAST_STORAGE__…`."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from connectors.storage.keys import check_template
from schemas.settings import Section

_MIB = 1024 * 1024


_SCHEMES = ("file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")


def check_store_url(url: str) -> str:
    """The URL, or ValueError: what it says is told in every location, so no secret may be in it."""
    scheme, found, rest = url.partition("://")
    if not found:
        if re.match(r"[A-Za-z][A-Za-z0-9+]+:/", url):
            raise ValueError("after the scheme a URL has two slashes, as in s3://bucket/prefix")
        return url
    if scheme.lower() not in _SCHEMES:
        raise ValueError(f"the scheme is one of {', '.join(_SCHEMES)}")
    if "@" in rest.partition("/")[0] and scheme.lower() not in ("abfs", "abfss"):
        raise ValueError("a URL of a store has no credentials in it: see docs/storage.md")
    if "?" in rest or "#" in rest:
        raise ValueError("a URL of a store has no query and no fragment")
    return url


class StorageSettings(Section):
    """Where copies go, how hard the sink tries, and which addresses it may fetch from."""

    store_url: Annotated[str, AfterValidator(check_store_url)] = Field(
        default="rendercast-store",
        min_length=1,
        description="file:///folder, s3://bucket/prefix, gs://…, az://…, or the path of a local folder",
    )
    location_base: str | None = Field(
        default=None, description="what the told locations begin with, where that is not the store's own URL"
    )
    key_template: Annotated[str, AfterValidator(check_template)] = Field(
        default="{kind}/{yyyy}/{mm}/{dd}/{file_id}/{generation}{ext}",
        description="an object's key; the date is that of the job's end",
    )
    group_id: str = Field(default="storage", min_length=1, description="consumer group; the topics' prefix goes before")
    group_instance_id: str | None = Field(
        default=None, description="static membership: unique per process, kept over its restarts; they rejoin at once"
    )
    session_timeout_seconds: float = Field(
        default=10, ge=6, le=300, description="a silent process loses its partitions after this"
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="downloads at once")
    concurrency_per_host: int = Field(
        default=4, ge=1, le=256, description="of these, from one host; fewer than all, so that no host stops the others"
    )
    min_bytes_per_second: float = Field(
        default=16_384, ge=0, description="a host that sends less than this for half a minute is too slow"
    )
    window: int = Field(
        default=64, ge=1, le=10_000, description="records of a partition taken before the oldest is done"
    )
    max_bytes: int = Field(default=4096 * _MIB, ge=1, description="larger objects are refused")
    part_bytes: int = Field(default=8 * _MIB, ge=5 * _MIB, le=512 * _MIB, description="what a download holds in memory")
    connect_timeout_seconds: float = Field(default=10, gt=0, le=120)
    read_timeout_seconds: float = Field(default=30, gt=0, le=600, description="longest silence within a download")
    object_timeout_seconds: float = Field(default=900, gt=0, le=86_400, description="longest time for one try")
    attempts: int = Field(default=8, ge=1, le=100, description="tries of one object before it goes to dead letters")
    retry_wait_seconds: float = Field(default=1, gt=0, le=60, description="before the second try; doubles from there")
    retry_wait_max_seconds: float = Field(default=60, gt=0, le=3600)
    stop_grace_seconds: float = Field(default=5, gt=0, le=7, description="at a stop downloads in hand have this long")
    allow_http: bool = Field(default=False, description="plain http, too")
    allow_hosts: tuple[str, ...] = Field(
        default=(), description="only these hosts (`.example.com`: and all below); empty: every public one"
    )
    allow_ports: tuple[int, ...] = Field(default=(), description="ports besides 443 (and 80 for http)")
    allow_private_hosts: tuple[str, ...] = Field(
        default=(), description="`host` or `host:port` that may have a private address, on any or on that port"
    )
