"""D01 to D06: addresses inside, names that change their mind, redirects, and URLs that hide where they lead."""

from __future__ import annotations

import pytest

from app.net.egress import EgressPolicy, Reach, parse_url
from app.net.errors import EgressRefused
from app.net.outbound import OutboundHttp
from app.remediation.contract import Unreachable
from app.remediation.jobs.clients import GuardedResolver
from tests.net.callers import Names, outbound
from tests.net.peers import peer, reply

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
]
CARRIERS = [
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:0:7f00:1::",
]


async def refused(url: str, *names: list[str], allow: tuple[str, ...] = ()) -> None:
    """The call is refused, and certainly nothing was sent."""
    guarded = outbound(*allow, names=Names(*(names or [[]])))
    with pytest.raises(EgressRefused) as refusal:
        await guarded.request("GET", url, timeout_s=5)
    assert not refusal.value.sent
    await guarded.aclose()


@pytest.mark.attack("D01")
@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_inside_written_or_resolved(address: str) -> None:
    await refused(f"http://[{address}]/" if ":" in address else f"http://{address}/")
    await refused("http://peer.test/", [address])
    # One good address beside it opens nothing: which one is dialled would be the peer's choice.
    await refused("http://peer.test/", ["93.184.216.34", address])
    await refused("http://peer.test/", [address, "93.184.216.34"])


@pytest.mark.attack("D01")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.localdomain", "metadata.google.internal"])
async def test_a_name_for_an_address_inside(host: str) -> None:
    await refused(f"http://{host}/", ["127.0.0.1"])
    await refused(f"http://{host}/", ["169.254.169.254"], allow=("0.0.0.0/0", "::/0"))


@pytest.mark.attack("D02")
@pytest.mark.parametrize("address", CARRIERS)
async def test_an_ipv6_address_that_carries_another(address: str) -> None:
    """Refused whatever the operator allowed: the network behind it is not the one that he wrote."""
    everything = ("0.0.0.0/0", "::/0")
    await refused(f"http://[{address}]/", allow=everything)
    await refused("http://peer.test/", [address], allow=everything)


@pytest.mark.attack("D02")
@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "peer.test.",
        "[::1%25lo]",
        "[fe80::1%25eth0]",
        "[::ffff:127.0.0.1%25lo]",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
        "p\u00e9er.test",
        "%31%32%37.0.0.1",
        "localhost%00.peer.test",
    ],
)
async def test_an_address_in_another_spelling(host: str) -> None:
    await refused(f"http://{host}/", ["127.0.0.1"], allow=("127.0.0.0/8",))


@pytest.mark.attack("D03")
async def test_a_name_that_changes_its_mind_between_check_and_dial() -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    guarded = outbound("127.0.0.0/8", names=names)
    async with peer(reply()) as there:
        await guarded.request("GET", there.url(host="peer.test"), timeout_s=5)
        assert names.asked == 1, "asked again, it could have answered otherwise"
    await guarded.aclose()


@pytest.mark.attack("D03")
async def test_a_connection_is_not_lent_to_a_call_that_could_not_open_it() -> None:
    guarded = outbound()
    async with peer(reply()) as there:
        await guarded.request("GET", there.url(), timeout_s=5, allow_private=True)
        with pytest.raises(EgressRefused):
            await guarded.request("GET", there.url(), timeout_s=5)
        assert len(there.heard) == 1
    await guarded.aclose()


@pytest.mark.attack("D03")
async def test_databases_and_queues_are_pinned_by_the_same_rule() -> None:
    resolver = GuardedResolver([], timeout_s=1)
    for address in (*INSIDE, *CARRIERS):
        with pytest.raises(Unreachable) as refusal:
            await resolver.pin(address, 5432)
        assert not refusal.value.sent


@pytest.mark.attack("D04")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_inside_is_an_answer_and_no_order(http: OutboundHttp, status: str) -> None:
    async with peer(reply(b"secret")) as inside:
        for place in (inside.url("/latest/meta-data"), "//127.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd"):
            async with peer(reply(status=status, headers=f"location: {place}\r\n")) as there:
                for follow in (False, True):
                    answer = await http.request("GET", there.url(), timeout_s=5, follow=follow)
                    assert (answer.status, answer.body) == (int(status[:3]), b"ok")
        assert inside.connections == 0


@pytest.mark.attack("D04")
async def test_a_chain_of_redirects_ends(http: OutboundHttp) -> None:
    async with peer(reply(status="302 Found", headers="location: /next\r\n")) as there:
        assert (await http.request("GET", there.url(), timeout_s=5, follow=True)).status == 302
        assert len(there.heard) <= 4


@pytest.mark.attack("D05")
@pytest.mark.parametrize(
    "url",
    [
        "https://good.test:pass@169.254.169.254/",
        "https://good.test@evil.test/",
        "https://good.test\\@evil.test/",
        "https:\\\\169.254.169.254\\",
        "http://good.test\t@evil.test/",
        "http://good.test\r\nHost: evil.test/",
        "http:///169.254.169.254/",
        "http:169.254.169.254",
        "//169.254.169.254/",
        "http://[::1",
        "http://good.test:80:81/",
        "http://good.test:99999/",
        " http://good.test/",
        "http://good.test /",
    ],
)
async def test_a_url_that_hides_its_host(url: str) -> None:
    await refused(url, ["93.184.216.34"])


@pytest.mark.attack("D05")
@pytest.mark.parametrize("url", ["HTTPS://Peer.Test/", "http://peer.test/@good.test", "http://peer.test/#@169.254.1.1"])
async def test_guard_and_client_read_the_same_host(url: str) -> None:
    """What looks odd and is not refused is dialled where it was judged."""
    names = Names(["169.254.169.254"])
    guarded = outbound(names=names)
    with pytest.raises(EgressRefused):
        await guarded.request("GET", url, timeout_s=5)
    assert names.asked == 1
    assert parse_url(url).host == "peer.test"
    await guarded.aclose()


@pytest.mark.attack("D06")
@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "unix", "dict", "ldap", "data", "javascript", "http+unix"])
async def test_a_scheme_that_is_not_http(scheme: str) -> None:
    for url in (f"{scheme}://peer.test/", f"{scheme}:///etc/passwd", f"{scheme}:/etc/passwd", f"{scheme.upper()}://x/"):
        await refused(url, ["93.184.216.34"])


@pytest.mark.attack("D01", "D02")
def test_nothing_an_operator_can_write_opens_metadata() -> None:
    policy = EgressPolicy(["0.0.0.0/0", "::/0", "metadata.test:80"])
    for address in ("169.254.169.254", "fd00:ec2::254", *CARRIERS):
        for reach in Reach:
            with pytest.raises(EgressRefused):
                policy.judge_addresses("metadata.test", 80, [address], reach)
