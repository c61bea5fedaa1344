"""Which URLs may be fetched. The upstream names them, so any of them may be an attempt to reach what only we can reach.

Two checks, and nothing in between them to slip through:

- `Guard.url` looks at the URL: scheme, credentials, port, host, and an address where the host is one.
- `GuardedResolver` is what the HTTP client resolves names with when it connects. It hands out only addresses that it
  has checked, and those are the ones connected to: a name that resolves differently a moment later changes nothing.

Both are asked again for every redirect.
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from connectors.storage.settings import StorageSettings
from schemas.errors import RejectRecord

_URL = re.compile(r"(https?)://([^/\\?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r":([0-9]{1,5})?$", re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.ASCII)
_TO_ENCODE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")
_STANDARD_PORTS = {"https": 443, "http": 80}
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_SPECIAL = (
    IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"), IPv6Network("5f00::/16"),
)  # fmt: skip
"""Not of the public internet, whatever the age of Python's own tables."""


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet. Addresses that carry another one are judged by that."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found in _NAT64:
            return is_public(str(IPv4Address(int(found) & 0xFFFF_FFFF)))
        return found in _GLOBAL_V6 and found.is_global and found not in _SIX_TO_FOUR and not _is_special(found)
    return found.is_global and not _is_special(found) and not found.is_multicast and not found.is_reserved


def _is_special(found: IPv4Address | IPv6Address) -> bool:
    return any(found in network for network in _SPECIAL)


class Guard:
    """The settings' rules. `refused_url` is the reason of everything it refuses."""

    def __init__(self, settings: StorageSettings) -> None:
        self._schemes = {"https", "http"} if settings.allow_http else {"https"}
        self._hosts = tuple(host.lower() for host in settings.allow_hosts)
        self._ports = frozenset(settings.allow_ports)
        self._private = frozenset(host.lower() for host in settings.allow_private_hosts)

    def url(self, text: str) -> URL:
        """The URL as it is to be fetched. Its bytes are kept; only what no request line can carry is encoded."""
        match = _URL.fullmatch(text.partition("#")[0])
        if match is None or match[1].lower() not in self._schemes:
            raise _refused(f"scheme is not {' or '.join(sorted(self._schemes))}")
        scheme, authority, rest = match[1].lower(), match[2], match[3]
        if "@" in authority:
            raise _refused("credentials in a URL")
        host, port = _host_and_port(authority, _STANDARD_PORTS[scheme])
        private = self._admits_private(host, port)
        if not private:
            self._require_public_name(host)
            if port not in self._ports and port != _STANDARD_PORTS[scheme]:
                raise _refused(f"port {port}")
        path = _TO_ENCODE.sub(_encoded, rest)
        shown = f"[{host}]" if ":" in host else host
        return URL(f"{scheme}://{shown}:{port}{'' if path.startswith('/') else '/'}{path}", encoded=True)

    def _require_public_name(self, host: str) -> None:
        if self._hosts and not any(
            host == allowed or (allowed.startswith(".") and host.endswith(allowed)) for allowed in self._hosts
        ):
            raise _refused(f"{host} is not among the allowed hosts")
        if (":" in host or _NUMERIC.fullmatch(host)) and not is_public(host):
            raise _refused(f"{host} is not a public address")

    def require_public(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Every address that a name resolves to has to be public: one that is not is an attack or a mistake."""
        if self._admits_private(host.rstrip(".").lower(), port):
            return
        wrong = [address for address in addresses if not is_public(address)]
        if wrong or not addresses:
            raise _refused(f"{host} resolves to {', '.join(wrong) or 'nothing'}")

    def _admits_private(self, host: str, port: int) -> bool:
        return host in self._private or f"{host}:{port}" in self._private or f"[{host}]:{port}" in self._private


class GuardedResolver(AbstractResolver):
    """Resolves by `inner` and hands out nothing that the guard has not seen."""

    def __init__(self, guard: Guard, inner: AbstractResolver) -> None:
        self._guard = guard
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        self._guard.require_public(host, port, [each["host"] for each in found])
        return found

    async def close(self) -> None:
        await self._inner.close()


def _encoded(found: re.Match[str]) -> str:
    """As UTF-8; bytes that a header had and that are none stay what they were."""
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))


def _host_and_port(authority: str, standard: int) -> tuple[str, int]:
    """The host in lower case, without brackets or a last dot. A number that only some parsers read is refused."""
    if authority.startswith("["):
        inner, bracket, rest = authority[1:].partition("]")
        try:
            host = str(IPv6Address(inner)) if bracket and "%" not in inner else ""
        except ValueError:
            host = ""
    else:
        rest = ((match := _PORT.search(authority)) and match[0]) or ""
        host = _ascii(authority.removesuffix(rest))
        if _NUMERIC.fullmatch(host) and not _is_dotted_quad(host):
            host = ""
    if not host or (rest and not _PORT.fullmatch(rest)):
        raise _refused("no host that can be read in one way only")
    port = int(rest[1:]) if len(rest) > 1 else standard
    if not 0 < port < 65_536:  # noqa: PLR2004 - the end of the range
        raise _refused(f"port {port}")
    return host, port


def _ascii(host: str) -> str:
    try:
        found = host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        return ""
    return found if _NAME.fullmatch(found) else ""


def _is_dotted_quad(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _refused(why: str) -> RejectRecord:
    return RejectRecord("refused_url", f"URL refused: {why}")
