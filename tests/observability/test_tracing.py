from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.observability.tracing import (
    configure_tracing,
    current_trace_id,
    current_traceparent,
    flush_tracing,
    new_root,
    parse_traceparent,
    recorded_trace_id,
    shutdown_tracing,
    span_from,
    unrecorded_root,
)
from app.settings.telemetry import TelemetrySettings
from tests.fixtures.otlp import OtlpReceiver

FOREIGN = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def receiver(otlp: OtlpReceiver) -> Iterator[OtlpReceiver]:
    settings = TelemetrySettings(otlp_endpoint=otlp.endpoint, otlp_headers={"x-key": SecretStr("k1")})
    configure_tracing(settings, process="test")
    yield otlp
    shutdown_tracing()


def test_one_trace_goes_through_rows(receiver: OtlpReceiver) -> None:
    with new_root("webhook"):
        stored = current_traceparent()
    with span_from(stored, "job intake", attributes={"tenant_id": "t1"}):
        carried = current_traceparent()
    with span_from(carried, "job remediation"), span_from(None, "outbound"):
        pass
    flush_tracing()
    (root,) = receiver.spans("webhook")
    (intake,) = receiver.spans("job intake")
    (remediation,) = receiver.spans("job remediation")
    (outbound,) = receiver.spans("outbound")
    assert {intake.trace_id, remediation.trace_id, outbound.trace_id} == {root.trace_id}
    assert [intake.parent_id, remediation.parent_id, outbound.parent_id] == [
        root.span_id,
        intake.span_id,
        remediation.span_id,
    ]
    assert root.parent_id == ""
    assert intake.attributes["tenant_id"] == "t1"
    assert root.service == "tocsin-test"
    assert receiver.headers[0]["x-key"] == "k1"


def test_a_strangers_traceparent_is_linked_and_never_a_parent(receiver: OtlpReceiver) -> None:
    with new_root("door", link_to=FOREIGN):
        pass
    flush_tracing()
    (door,) = receiver.spans("door")
    assert door.trace_id != "a" * 32
    assert door.parent_id == ""
    assert door.linked_trace_ids == ("a" * 32,)


def test_a_root_inside_a_span_is_still_a_root(receiver: OtlpReceiver) -> None:
    with new_root("outer"), new_root("inner"):
        pass
    flush_tracing()
    assert receiver.spans("inner")[0].parent_id == ""
    assert receiver.spans("inner")[0].trace_id != receiver.spans("outer")[0].trace_id


def test_links_merge_batches_and_are_bounded(receiver: OtlpReceiver) -> None:
    many = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 200)]
    with span_from(None, "batch", links=many):
        pass
    flush_tracing()
    assert len(receiver.spans("batch")[0].linked_trace_ids) == 128


def test_a_failed_span_names_the_error_and_never_its_message(receiver: OtlpReceiver) -> None:
    with pytest.raises(ValueError, match="hunter2"), span_from(None, "failing"):
        raise ValueError("password=hunter2")
    flush_tracing()
    (span,) = receiver.spans("failing")
    assert span.failed
    assert span.status_message == "ValueError"
    assert span.attributes["error.type"] == "ValueError"
    assert "hunter2" not in repr(span)


async def test_concurrent_tasks_keep_their_own_spans(receiver: OtlpReceiver) -> None:
    async def flow(number: int) -> None:
        with new_root(f"flow {number}"):
            await asyncio.sleep(0)
            with span_from(None, f"step {number}"):
                await asyncio.sleep(0)

    await asyncio.gather(*(flow(number) for number in range(10)))
    flush_tracing()
    for number in range(10):
        assert receiver.spans(f"step {number}")[0].parent_id == receiver.spans(f"flow {number}")[0].span_id


def test_sampling_drops_whole_traces(otlp: OtlpReceiver) -> None:
    configure_tracing(TelemetrySettings(otlp_endpoint=otlp.endpoint, trace_sample_ratio=0.0), process="test")
    try:
        with new_root("dropped"):
            assert recorded_trace_id() is None
            with span_from(current_traceparent(), "dropped too"):
                pass
        # A stranger's sampled flag does not force recording either.
        with new_root("forced", link_to=FOREIGN):
            assert recorded_trace_id() is None
    finally:
        shutdown_tracing()
    assert otlp.spans() == []


def test_a_root_is_drawn_once_at_the_settings_share(otlp: OtlpReceiver) -> None:
    configure_tracing(TelemetrySettings(otlp_endpoint=otlp.endpoint, trace_sample_ratio=0.25), process="test")
    drawn = 0
    try:
        for _ in range(2000):
            quiet = unrecorded_root()
            if quiet is not None:
                assert quiet.endswith("-00")
                continue
            drawn += 1
            with new_root("drawn", chosen=True):
                assert recorded_trace_id() is not None
    finally:
        shutdown_tracing()
    assert len(otlp.spans("drawn")) == drawn
    assert 400 < drawn < 600  # 5 standard deviations of a fair draw


def test_a_root_that_nobody_drew_for_is_drawn_once_too_and_its_children_follow(otlp: OtlpReceiver) -> None:
    configure_tracing(TelemetrySettings(otlp_endpoint=otlp.endpoint, trace_sample_ratio=0.25), process="test")
    recorded = 0
    try:
        for _ in range(2000):
            with new_root("plain"):
                root = recorded_trace_id()
                recorded += root is not None
                with span_from(current_traceparent(), "child"):
                    assert recorded_trace_id() == root
    finally:
        shutdown_tracing()
    assert len(otlp.spans("plain")) == len(otlp.spans("child")) == recorded
    assert 400 < recorded < 600


def test_without_a_receiver_ids_travel_all_the_same() -> None:
    with new_root("quiet"):
        trace_id, carried = current_trace_id(), current_traceparent()
        assert recorded_trace_id() is None
    with span_from(carried, "later"):
        assert current_trace_id() == trace_id
        assert current_traceparent() != carried
    assert current_traceparent() is None


@pytest.mark.timeout(60)
def test_a_dead_receiver_neither_blocks_nor_raises() -> None:
    """Were each root to wait for the receiver, or the end for all of them, this would not be over within hours."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        configure_tracing(TelemetrySettings(otlp_endpoint=endpoint, export_timeout_s=0.5), process="test")
        for _ in range(20_000):
            with new_root("lost"):
                assert recorded_trace_id() is not None
        shutdown_tracing()


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "00",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"01-{'a' * 32}-{'b' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01-extra",
        f"00-{'a' * 32}-{'b' * 16}-01\n",
        "x" * 1_000_000,
    ],
)
def test_what_is_no_traceparent_is_ignored(value: str | None) -> None:
    assert parse_traceparent(value) is None
    with new_root("door", link_to=value):
        assert current_trace_id() is not None


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_traceparent(text)


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 255),
)
def test_a_valid_traceparent_is_read_with_only_the_sampled_flag(trace_id: int, span_id: int, flags: int) -> None:
    context = parse_traceparent(f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    assert context is not None
    assert (context.trace_id, context.span_id, int(context.trace_flags)) == (trace_id, span_id, flags & 1)
