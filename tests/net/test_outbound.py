"""Outgoing calls against real servers on this machine: who is called and what is seen of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from app.net.observed import REQUESTS
from app.net.outbound import EgressRefused, OutboundError, OutboundHttp
from tests.net.callers import Names, outbound
from tests.net.peers import Heard, certificate, peer, reply


async def test_a_call_and_its_answer(http: OutboundHttp) -> None:
    async with peer(reply(b'{"a":1}', status="201 Created", headers="x-thing: yes\r\n")) as there:
        response = await http.request(
            "post", there.url("/notes?x=1"), headers={"X-Key": "k"}, json={"text": "ü"}, timeout_s=5
        )

    assert (response.status, response.body, response.headers["X-Thing"]) == (201, b'{"a":1}', "yes")
    assert response.is_success
    assert response.json() == {"a": 1}
    heard = there.heard[0]
    assert (heard.method, heard.target, heard.body) == ("POST", "/notes?x=1", '{"text":"ü"}'.encode())
    assert heard.headers["x-key"] == "k"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["host"] == f"127.0.0.1:{there.port}"


async def test_any_status_is_an_answer(http: OutboundHttp) -> None:
    async with peer(reply(b"no", status="503 Busy")) as there:
        response = await http.request("GET", there.url(), timeout_s=5)
    assert (response.status, response.is_success) == (503, False)
    with pytest.raises(OutboundError, match="not JSON"):
        response.json()


async def test_connections_are_kept_and_used_again(http: OutboundHttp) -> None:
    async with peer(reply()) as there:
        for _ in range(3):
            await http.request("GET", there.url(), timeout_s=5)
        assert there.connections == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_d01_this_machine_is_refused_unless_allowed(host: str) -> None:
    guarded = outbound()
    async with peer(reply()) as there:
        with pytest.raises(EgressRefused) as refusal:
            await guarded.request("GET", there.url(host=host), timeout_s=5)
        assert there.connections == 0
    assert not refusal.value.sent
    await guarded.aclose()


async def test_d03_a_name_with_one_private_address_is_refused() -> None:
    guarded = outbound(names=Names(["93.184.216.34", "127.0.0.1"]))
    async with peer(reply()) as there:
        with pytest.raises(EgressRefused):
            await guarded.request("GET", there.url(host="peer.test"), timeout_s=5)
        assert there.connections == 0
    await guarded.aclose()


async def test_d03_the_judged_address_is_dialled_and_the_name_is_not_asked_again() -> None:
    """The second answer would be refused: it must never be asked for, neither at dial nor for the next call."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    guarded = outbound("127.0.0.0/8", names=names)
    async with peer(reply()) as there:
        for _ in range(2):
            response = await guarded.request("GET", there.url(host="peer.test"), timeout_s=5)
            assert response.status == 200
        assert names.asked == 1
        assert there.heard[0].headers["host"] == f"peer.test:{there.port}"
    await guarded.aclose()


async def test_d03_a_new_connection_is_judged_anew() -> None:
    async def once(writer: asyncio.StreamWriter, heard: Heard) -> None:
        await reply(headers="connection: close\r\n")(writer, heard)
        writer.close()

    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"], ["169.254.169.254"]))
    async with peer(once) as there:
        await guarded.request("GET", there.url(host="peer.test"), timeout_s=5)
        with pytest.raises(EgressRefused):
            await guarded.request("GET", there.url(host="peer.test"), timeout_s=5)
        assert there.connections == 1
    await guarded.aclose()


async def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.2", "127.0.0.1"]))
    async with peer(reply()) as there:
        response = await guarded.request("GET", there.url(host="peer.test"), timeout_s=5)
    assert response.status == 200
    await guarded.aclose()


async def test_the_reach_of_one_call_is_not_inherited_by_the_next() -> None:
    """A connection that a trusted call opened must not serve a call that could not have opened it."""
    guarded = outbound()
    async with peer(reply()) as there:
        response = await guarded.request("GET", there.url(), timeout_s=5, allow_private=True)
        assert response.status == 200
        for allow_private in (None, False):
            with pytest.raises(EgressRefused):
                await guarded.request("GET", there.url(), timeout_s=5, allow_private=allow_private)
        assert len(there.heard) == 1
    await guarded.aclose()


async def test_a_call_can_do_without_the_allow_list(http: OutboundHttp) -> None:
    async with peer(reply()) as there:
        with pytest.raises(EgressRefused):
            await http.request("GET", there.url(), timeout_s=5, allow_private=False)


async def test_d04_a_redirect_is_an_answer(http: OutboundHttp) -> None:
    async with peer(reply(b"secret")) as inside:
        moved = reply(status="302 Found", headers=f"location: {inside.url('/latest')}\r\n")
        async with peer(moved) as there:
            for follow in (False, True):
                response = await http.request("GET", there.url(), timeout_s=5, follow=follow)
                assert (response.status, response.body) == (302, b"ok")
        assert inside.connections == 0


async def test_d04_redirects_within_the_origin_end_after_three(http: OutboundHttp) -> None:
    async with peer(reply(status="302 Found", headers="location: /again\r\n")) as there:
        response = await http.request("GET", there.url(), headers={"x-key": "k"}, timeout_s=5, follow=True)
        assert response.status == 302
        assert [heard.target for heard in there.heard] == ["/", "/again", "/again", "/again"]


async def test_d04_a_write_is_never_sent_on(http: OutboundHttp) -> None:
    async with peer(reply()) as there:
        with pytest.raises(OutboundError, match="redirects") as refusal:
            await http.request("POST", there.url(), timeout_s=5, follow=True)
        assert not refusal.value.sent
        assert there.connections == 0


async def test_the_environment_cannot_put_a_proxy_around_the_guard(
    http: OutboundHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer(reply(b"proxy")) as proxy, peer(reply(b"direct")) as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        response = await http.request("GET", there.url(), timeout_s=5)
        assert response.body == b"direct"
        assert proxy.connections == 0


async def test_tls_is_checked_for_the_name_while_the_address_is_pinned(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path, "peer.test")
    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]), egress_ca_file=str(trusted))
    async with peer(reply(b"safe"), tls=context) as there:
        response = await guarded.request("GET", there.url(host="peer.test", scheme="https"), timeout_s=5)
        assert response.body == b"safe"
        assert there.sni == ["peer.test"]
        with pytest.raises(OutboundError) as failure:
            await guarded.request("GET", there.url(host="other.test", scheme="https"), timeout_s=5)
        assert not failure.value.sent
        assert len(there.heard) == 1
    await guarded.aclose()


async def test_our_trace_is_told_only_to_whom_we_say(http: OutboundHttp) -> None:
    ours = SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    async with peer(reply()) as there:
        with trace.use_span(NonRecordingSpan(ours)):
            await http.request("GET", there.url(), timeout_s=5)
            await http.request("GET", there.url(), timeout_s=5, propagate=True)
    silent, told = (heard.headers.get("traceparent") for heard in there.heard)
    assert silent is None
    assert told is not None
    assert told.startswith(f"00-{0x1234:032x}-")


def count(method: str, outcome: str) -> float:
    return float(REQUESTS.labels(method, outcome)._value.get())


async def test_each_call_is_counted_by_its_outcome(http: OutboundHttp) -> None:
    before = [count("PUT", "2xx"), count("PUT", "egress_refused"), count("other", "failed")]
    async with peer(reply()) as there:
        await http.request("PUT", there.url(), timeout_s=5)
    with pytest.raises(EgressRefused):
        await http.request("PUT", "http://10.1.2.3/", timeout_s=5)
    with pytest.raises(OutboundError):
        await http.request("BREW", "http://127.0.0.1:9/", timeout_s=5)
    after = [count("PUT", "2xx"), count("PUT", "egress_refused"), count("other", "failed")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]


def test_a_url_can_be_refused_when_it_is_configured() -> None:
    OutboundHttp.check_url("https://desk.example.test/app")
    with pytest.raises(EgressRefused):
        OutboundHttp.check_url("https://user:pass@desk.example.test/")
