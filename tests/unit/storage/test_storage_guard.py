"""Every trick that is known to get a fetcher to where it must not go."""

import socket

import pytest
from aiohttp.abc import AbstractResolver

from connectors.storage.fetch import Fetcher
from connectors.storage.guard import Guard, is_public
from connectors.storage.settings import StorageSettings
from schemas.errors import RejectRecord, RetryLater


def guard(**fields):
    return Guard(StorageSettings(**fields))


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.com/a.mp4",
        "HTTPS://CDN.EXAMPLE.COM/a.mp4",
        "https://cdn.example.com:443/a.mp4",
        "https://cdn.example.com./a.mp4",
        "https://8.8.8.8/a.mp4",
        "https://[2606:4700:4700::1111]/a.mp4",
        "https://bücher.example/a.mp4",
    ],
)
def test_a_public_url_is_admitted(url):
    assert guard().url(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        # addresses that are not public
        "https://127.0.0.1/", "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.1.1/", "https://0.0.0.0/",
        "https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/", "https://224.0.0.1/", "https://240.0.0.1/",
        "https://255.255.255.255/", "https://127.0.0.1./",
        # the same, written so that some parsers read them and others do not
        "https://2130706433/", "https://017700000001/", "https://0177.0.0.1/", "https://0x7f.0.0.1/",
        "https://0x7f000001/", "https://127.1/", "https://127.0.1/", "https://10.0.0.010/", "https://1.2.3.4.5/",
        "https://999.1.1.1/", "https://example.0x7f/", "https://\uff11\uff12\uff17.0.0.1/", "https://127\u30020.0.1/",
        "https://%31%32%37.0.0.1/",
        # IPv6, and IPv4 inside of it
        "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:a9fe:a9fe]/",
        "https://[0:0:0:0:0:ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00::1]/",
        "https://[fec0::1]/", "https://[ff02::1]/", "https://[::1", "https://[::1]x/", "https://[cdn.example.com]/",
        # other schemes, and things that are no URL
        "http://cdn.example.com/", "ftp://cdn.example.com/", "file:///etc/passwd", "gopher://cdn.example.com/", "//x/",
        "https:/cdn.example.com/", "https:///a", "https://", "",
        # credentials, and authorities that parsers cut in different places
        "https://user@cdn.example.com/", "https://user:secret@cdn.example.com/", "https://cdn.example.com@127.0.0.1/",
        "https://cdn.example.com:443@127.0.0.1/", "https://127.0.0.1\\@cdn.example.com/", "https://a b.example/",
        "https://cdn.example.com\t/", "https://cdn.example.com\r\nHost: x/", "https://-\x00.example/",
        # ports
        "https://cdn.example.com:22/", "https://cdn.example.com:80/", "https://cdn.example.com:0/",
        "https://cdn.example.com:99999/", "https://cdn.example.com:4 43/", "https://cdn.example.com:+443/",
        "https://cdn.example.com:\uff14\uff14\uff13/",
    ],
)  # fmt: skip
def test_a_url_that_leads_elsewhere_is_refused(url):
    with pytest.raises(RejectRecord) as refused:
        guard().url(url)
    assert refused.value.reason == "refused_url"
    assert "secret" not in str(refused.value)


def test_of_an_authority_with_a_backslash_the_part_before_it_is_the_host():
    found = guard().url("https://cdn.example.com\\@127.0.0.1/a.mp4")
    assert (found.host, found.raw_path) == ("cdn.example.com", "/%5C@127.0.0.1/a.mp4")


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ("/2025-6-1\\a.mp4", "/2025-6-1%5Ca.mp4"),
        ("/a b/ü.mp4", "/a%20b/%C3%BC.mp4"),
        ("/a%2Fb.mp4?sig=a%2Bb+c%3D&x=1", "/a%2Fb.mp4?sig=a%2Bb+c%3D&x=1"),
        ("/100%.mp4", "/100%25.mp4"),
        ("/a/../b.mp4", "/a/../b.mp4"),
        ("?x=1", "/?x=1"),
        ("/a#b", "/a"),
        ("/a\r\nX: y", "/a%0D%0AX:%20y"),
        ("/caf\udce9.mp4", "/caf%E9.mp4"),  # a byte of a header that is no UTF-8
        ('/"<a>"', "/%22%3Ca%3E%22"),
    ],
)
def test_an_untidy_path_is_encoded_and_nothing_else_is_changed(raw, sent):
    assert str(guard().url(f"https://e.com{raw}")) in (f"https://e.com{sent}", f"https://e.com:443{sent}")


def test_only_allowed_hosts_are_admitted_where_some_are_named():
    named = guard(allow_hosts=("cdn.example.com", ".media.example"))
    for host in ("cdn.example.com", "a.media.example", "a.b.MEDIA.example"):
        named.url(f"https://{host}/")
    for host in ("example.com", "xcdn.example.com", "cdn.example.com.evil.example", "media.example", "8.8.8.8"):
        with pytest.raises(RejectRecord):
            named.url(f"https://{host}/")


def test_http_and_ports_are_admitted_by_setting():
    guard(allow_http=True).url("http://cdn.example.com/")
    guard(allow_ports=(8443,)).url("https://cdn.example.com:8443/")
    with pytest.raises(RejectRecord):
        guard(allow_ports=(8443,)).url("https://127.0.0.1:8443/")


def test_a_private_host_is_admitted_by_name_and_only_on_its_port():
    named = guard(allow_http=True, allow_private_hosts=("127.0.0.1:8080", "simulator", "[::1]:8080"))
    for url in ("http://127.0.0.1:8080/", "http://simulator:1234/", "http://[::1]:8080/", "http://simulator./"):
        named.url(url)
    for url in (
        "http://127.0.0.1:8081/",
        "http://127.0.0.2:8080/",
        "http://localhost:8080/",
        "http://2130706433:8080/",
    ):
        with pytest.raises(RejectRecord):
            named.url(url)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002::1", "::1", "not an address", "fe80::1%eth0",
        "192.0.0.9", "192.88.99.1", "::ffff:192.88.99.1", "3fff::1", "5f00::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


class Names(AbstractResolver):
    """A resolver that answers from a list, each time with the next."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {"hostname": host, "host": each, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for each in found
        ]

    async def close(self):
        pass


async def fetched(url, names, **fields):
    settings = StorageSettings(allow_http=True, connect_timeout_seconds=0.2, **fields)
    async with Fetcher(settings, names) as fetcher, fetcher.get(url, {}) as answer:
        return await answer.read()


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], []]
)
@pytest.mark.parametrize("name", ["innocent.example.com", "localhost", "localhost."])
async def test_a_name_with_any_address_that_is_not_public_is_never_connected_to(name, addresses):
    with pytest.raises(RejectRecord) as refused:
        await fetched(f"http://{name}/", Names(addresses))
    assert refused.value.reason == "refused_url"


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    """A name that is public when it is checked and loopback a moment later: there is no second question."""
    tried = []

    async def connect(addr_infos, **_):
        tried.extend(sockaddr[0] for *_, sockaddr in addr_infos)
        raise OSError("not in a test")

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)
    names = Names(["9.9.9.9"], ["127.0.0.1"])
    with pytest.raises(RetryLater):
        await fetched("http://rebinding.example.com/", names)
    assert (names.asked, tried) == (1, ["9.9.9.9"])
    with pytest.raises(RejectRecord):
        await fetched("http://rebinding.example.com/", names)
    assert tried == ["9.9.9.9"]
