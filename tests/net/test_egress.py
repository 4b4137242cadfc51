"""The egress guard on its own: URLs and addresses, by the ids of the catalogue (D01, D02, D05, D06)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.net.egress import EgressPolicy, Reach, judge_url, parse_url
from app.net.errors import EgressRefused

PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12:3456::1"]
SPECIAL = [
    "0.0.0.0",
    "169.254.169.254",
    "169.254.1.1",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "192.88.99.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "2001::1",
    "2002:7f00:1::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "3fff::1",
    "5f00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]


def judge(address: str, *allow: str, reach: Reach = Reach.ALLOWED, host: str = "peer.test", port: int = 443) -> None:
    EgressPolicy(allow).judge_addresses(host, port, [address], reach)


@pytest.mark.parametrize("address", [*PRIVATE, *SPECIAL, "192.0.2.1", "198.18.0.1", "2001:db8::1"])
@pytest.mark.parametrize("reach", [Reach.PUBLIC, Reach.ALLOWED])
def test_d01_addresses_that_are_not_public(address: str, reach: Reach) -> None:
    with pytest.raises(EgressRefused):
        judge(address, reach=reach)


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("reach", list(Reach))
def test_public_addresses_are_called(address: str, reach: Reach) -> None:
    judge(address, reach=reach)


@pytest.mark.parametrize("address", SPECIAL)
def test_d01_metadata_and_transition_addresses_are_refused_whatever_was_allowed(address: str) -> None:
    for reach in Reach:
        with pytest.raises(EgressRefused):
            judge(address, "0.0.0.0/0", "::/0", "peer.test:443", reach=reach)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_called_where_the_caller_or_the_operator_says_so(address: str) -> None:
    judge(address, reach=Reach.PRIVATE)
    judge(address, "0.0.0.0/0", "::/0")
    with pytest.raises(EgressRefused):
        judge(address, "0.0.0.0/0", "::/0", reach=Reach.PUBLIC)


@pytest.mark.parametrize(
    ("allow", "host", "port", "called"),
    [
        ("127.0.0.0/8", "peer.test", 80, True),
        ("127.0.0.1", "peer.test", 80, True),
        ("127.0.0.1:80", "peer.test", 80, True),
        ("127.0.0.1:81", "peer.test", 80, False),
        ("10.0.0.0/8", "peer.test", 80, False),
        ("peer.test:80", "peer.test", 80, True),
        ("PEER.test:80", "peer.test", 80, True),
        ("peer.test:81", "peer.test", 80, False),
        ("other.test:80", "peer.test", 80, False),
    ],
)
def test_what_an_entry_of_the_allow_list_opens(allow: str, host: str, port: int, called: bool) -> None:
    if called:
        judge("127.0.0.1", allow, host=host, port=port)
        return
    with pytest.raises(EgressRefused):
        judge("127.0.0.1", allow, host=host, port=port)


def test_an_entry_for_an_ipv6_address_and_port() -> None:
    judge("::1", "[::1]:8080", host="::1", port=8080)
    with pytest.raises(EgressRefused):
        judge("::1", "[::1]:8080", host="::1", port=8081)


@pytest.mark.parametrize("addresses", [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], []])
def test_d03_one_bad_address_among_good_ones_refuses_the_name(addresses: list[str]) -> None:
    with pytest.raises(EgressRefused):
        EgressPolicy().judge_addresses("peer.test", 443, addresses, Reach.ALLOWED)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "8.8.8.8%eth0", "0177.0.0.1", "not an address", ""])
def test_an_odd_answer_of_the_resolver_is_refused(text: str) -> None:
    with pytest.raises(EgressRefused):
        judge(text, reach=Reach.PRIVATE)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "127.0.0.1.",
        "peer.test.",
        "[::1%25eth0]",
        "[::1%eth0]",
        "[fe80::1%25lo]",
        "peer_.test.0x1",
        "1\uff12\uff17.0.0.1",
        "p\u00e9er.test",
        "peer..test",
        ".peer.test",
        "-peer.test",
        "pe%65r.test",
        "peer.test:0",
        "peer.test:65536",
        "peer.test:http",
        "a" * 64 + ".test",
        "a." * 127 + "test",
    ],
)
def test_d02_hosts_in_a_spelling_that_others_might_read_differently(host: str) -> None:
    with pytest.raises(EgressRefused):
        parse_url(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "https://good.test:pass@169.254.169.254/",
        "https://user@peer.test/",
        "https://good.test\\@evil.test/",
        "https://good.test\\evil.test/",
        "http:///path",
        "http:/peer.test/",
        "//peer.test/",
        "peer.test/#@",
        "http://peer.test\t/",
        "http://peer.test/\r\nHost: evil",
        " http://peer.test/",
        "http://pe er.test/",
        "http://",
        "",
        "http://peer.test/" + "x" * 5000,
        "http://[::1",
    ],
)
def test_d05_urls_that_hide_their_host(url: str) -> None:
    with pytest.raises(EgressRefused):
        parse_url(url)


@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "unix", "ws", "data", "javascript", "httpx"])
def test_d06_schemes_that_are_not_http(scheme: str) -> None:
    with pytest.raises(EgressRefused):
        parse_url(f"{scheme}://peer.test/")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("HTTPS://Peer.Test/a?b#c", ("peer.test", 443)),
        ("http://peer.test", ("peer.test", 80)),
        ("http://127.0.0.1:8080/", ("127.0.0.1", 8080)),
        ("http://[::1]:8080/", ("::1", 8080)),
        ("http://xn--pr-bja.test/", ("xn--pr-bja.test", 80)),
        ("http://sdp_1.internal:8443/api", ("sdp_1.internal", 8443)),
        ("http://peer.test/@good.test", ("peer.test", 80)),
    ],
)
def test_urls_that_are_called(url: str, place: tuple[str, int]) -> None:
    assert judge_url(parse_url(url)) == place


@given(st.text(max_size=60) | st.text("http:/@\\[]%.#?01fx ", max_size=40).map(lambda tail: "http://" + tail))
def test_any_text_is_a_url_or_refused(url: str) -> None:
    try:
        parsed = parse_url(url)
    except EgressRefused:
        return
    host, port = judge_url(parsed)
    assert host
    assert parsed.host == host
    assert 0 < port < 65_536
