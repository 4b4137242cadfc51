"""Outgoing calls against real servers on this machine, by the ids of the catalogue where it names the case."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from app.net.observed import REQUESTS
from app.net.outbound import EgressRefused, OutboundError, OutboundHttp, OutboundTimeout, ResponseTooLarge
from app.settings.security import SecuritySettings
from tests.net.peers import Heard, certificate, peer, reply


class Names:
    """A resolver whose answers the test writes; it counts how often it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


def outbound(*allow: str, names: Names | None = None, **settings: object) -> OutboundHttp:
    configured = SecuritySettings.model_validate({"egress_allow": list(allow), **settings})
    return OutboundHttp(configured, resolver=names) if names is not None else OutboundHttp(configured)


@pytest.fixture
async def http() -> AsyncIterator[OutboundHttp]:
    client = outbound("127.0.0.0/8")
    yield client
    await client.aclose()


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


async def test_d08_an_endless_answer_ends_at_the_cap(http: OutboundHttp) -> None:
    async def endless(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()

    async with peer(endless) as there:
        with pytest.raises(ResponseTooLarge) as failure:
            await http.request("GET", there.url(), timeout_s=5, max_bytes=20_000)
    assert failure.value.sent


async def test_d08_a_length_over_the_cap_is_not_waited_for(http: OutboundHttp) -> None:
    async def huge(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
        await writer.drain()

    async with peer(huge) as there:
        with pytest.raises(ResponseTooLarge):
            await http.request("GET", there.url(), timeout_s=5)


async def test_the_cap_itself_is_allowed(http: OutboundHttp) -> None:
    async with peer(reply(b"x" * 5000)) as there:
        response = await http.request("GET", there.url(), timeout_s=5, max_bytes=5000)
        assert len(response.body) == 5000
        with pytest.raises(ResponseTooLarge):
            await http.request("GET", there.url(), timeout_s=5, max_bytes=4999)


async def test_d08_a_slow_drip_ends_with_the_callers_time(http: OutboundHttp) -> None:
    async def drip(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    started = time.perf_counter()
    async with peer(drip) as there:
        with pytest.raises(OutboundTimeout) as failure:
            await http.request("GET", there.url(), timeout_s=0.4)
    assert failure.value.sent
    assert time.perf_counter() - started < 3


async def test_d08_silence_after_the_request(http: OutboundHttp) -> None:
    async def silence(_writer: asyncio.StreamWriter, _heard: Heard) -> None:
        await asyncio.Event().wait()

    async with peer(silence) as there:
        with pytest.raises(OutboundTimeout) as failure:
            await http.request("POST", there.url(), content=b"x", timeout_s=0.3)
        assert failure.value.sent
        assert len(there.heard) == 1


async def test_a_name_server_that_hangs_means_nothing_was_sent() -> None:
    class Hanging(Names):
        async def __call__(self, _host: str, _port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    guarded = outbound(names=Hanging(), egress_connect_timeout_s=0.2)
    with pytest.raises(OutboundTimeout) as failure:
        await guarded.request("GET", "http://peer.test/", timeout_s=5)
    assert not failure.value.sent
    await guarded.aclose()


async def test_a_name_that_does_not_resolve_means_nothing_was_sent() -> None:
    guarded = outbound(names=Names([]))
    with pytest.raises(OutboundError) as failure:
        await guarded.request("GET", "http://peer.test/", timeout_s=5)
    assert not failure.value.sent
    assert not isinstance(failure.value, EgressRefused)
    await guarded.aclose()


async def test_a_closed_port_means_nothing_was_sent(http: OutboundHttp) -> None:
    async with peer(reply()) as there:
        gone = there.url()
    with pytest.raises(OutboundError) as failure:
        await http.request("POST", gone, content=b"x", timeout_s=5)
    assert not failure.value.sent


async def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown(http: OutboundHttp) -> None:
    async def hang_up(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.close()

    async with peer(hang_up) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("POST", there.url(), content=b"x", timeout_s=5)
    assert failure.value.sent
    assert not isinstance(failure.value, OutboundTimeout)


async def test_an_answer_that_is_no_http_leaves_the_outcome_unknown(http: OutboundHttp) -> None:
    async def nonsense(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()

    async with peer(nonsense) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(), timeout_s=5)
    assert failure.value.sent
    assert "OpenSSH" not in str(failure.value)


async def test_a_compressed_answer_is_inflated_up_to_the_cap(http: OutboundHttp) -> None:
    small = reply(gzip.compress(b"a" * 1000), headers="content-encoding: gzip\r\n")
    async with peer(small) as there:
        response = await http.request("GET", there.url(), timeout_s=5)
        assert response.body == b"a" * 1000
        assert there.heard[0].headers["accept-encoding"] == "identity"
    bomb = reply(gzip.compress(b"a" * 50_000_000), headers="content-encoding: gzip\r\n")
    async with peer(bomb) as there:
        with pytest.raises(ResponseTooLarge):
            await http.request("GET", there.url(), timeout_s=5)


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "gzip"])
async def test_a_compression_that_is_unknown_or_broken(http: OutboundHttp, coding: str) -> None:
    async with peer(reply(b"not compressed", headers=f"content-encoding: {coding}\r\n")) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(), timeout_s=5)
    assert failure.value.sent


@pytest.mark.parametrize(
    ("name", "value"), [("x-a", "b\r\nx-evil: 1"), ("x-a\r\nx-evil", "1"), ("x-a", "ü"), ("", "1"), ("x a", "1")]
)
async def test_a_header_cannot_break_out_of_its_line(http: OutboundHttp, name: str, value: str) -> None:
    async with peer(reply()) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(), headers={name: value}, timeout_s=5)
        assert not failure.value.sent
        assert there.connections == 0


async def test_an_unknown_method_is_not_sent(http: OutboundHttp) -> None:
    with pytest.raises(OutboundError, match="method"):
        await http.request("CONNECT", "http://127.0.0.1:9/", timeout_s=5)


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


async def test_d08_a_certificate_that_nobody_vouches_for(http: OutboundHttp, tmp_path: Path) -> None:
    context, _ = certificate(tmp_path, "127.0.0.1")
    async with peer(reply(), tls=context) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(scheme="https"), timeout_s=5)
        assert not failure.value.sent
        assert there.heard == []


async def test_d08_a_host_that_hangs_does_not_hold_up_another() -> None:
    async def silence(_writer: asyncio.StreamWriter, _heard: Heard) -> None:
        await asyncio.Event().wait()

    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]), egress_max_per_host=2, egress_max_connections=3)
    async with peer(silence) as stuck, peer(reply()) as healthy:
        calls = [
            asyncio.ensure_future(guarded.request("GET", stuck.url(host="stuck.test"), timeout_s=1.5))
            for _ in range(10)
        ]
        response = await guarded.request("GET", healthy.url(host="healthy.test"), timeout_s=1)
        assert response.status == 200
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, OutboundTimeout) for outcome in outcomes)
        assert sum(outcome.sent for outcome in outcomes if isinstance(outcome, OutboundTimeout)) == 2
        assert stuck.connections == 2
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
