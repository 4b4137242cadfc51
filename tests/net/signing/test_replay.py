"""What makes two requests the same delivery, and for how long."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from app.net.signing import SignedRequest, Verified, get_profile, verify
from tests.net.signing.senders import (
    BODY,
    NOW,
    NOW_S,
    TEXT,
    WHSEC,
    github,
    hex_mac,
    request,
    secret,
    slack,
    standard,
)

SHORT, LONG = timedelta(minutes=10), timedelta(days=3)


def accepted(slug: str, incoming: SignedRequest, text: str = TEXT) -> Verified:
    profile = get_profile(slug)
    verdict = verify(profile, incoming, [secret(profile, text)], NOW)
    assert isinstance(verdict, Verified), verdict
    return verdict


def test_a_signed_id_is_the_key_whatever_the_attempt() -> None:
    """Standard Webhooks signs each attempt anew and keeps the id."""
    first = accepted("standard_webhooks", request(standard()), WHSEC)
    retried = accepted("standard_webhooks", request(standard(at=str(NOW_S + 60))), WHSEC)
    other = accepted("standard_webhooks", request(standard(message_id="msg_2")), WHSEC)

    assert first.replay_key == retried.replay_key != other.replay_key
    assert first.delivery_id == "msg_1"
    assert first.delivery_id_signed
    assert first.replay_window == LONG
    assert first.timestamp == datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def test_the_same_id_with_another_body_keeps_its_key_so_that_the_conflict_shows() -> None:
    """Case A22: the store sees one key with two bodies."""
    changed = b'{"alert":"other"}'
    first = accepted("standard_webhooks", request(standard()), WHSEC)
    second = accepted("standard_webhooks", request(standard(body=changed), changed), WHSEC)
    assert first.replay_key == second.replay_key


def test_an_unsigned_id_is_kept_and_never_the_key() -> None:
    """Case A23: GitHub's delivery header can be written by anybody."""
    first = accepted("github", request([*github(), ("x-github-delivery", "one")]))
    second = accepted("github", request([*github(), ("x-github-delivery", "two")]))

    assert first.delivery_id == "one"
    assert not first.delivery_id_signed
    assert first.replay_key == second.replay_key == b"d:" + hashlib.sha256(BODY).digest()


def test_an_id_inside_the_signed_body_is_the_key() -> None:
    body = b'{"event_id":"Ev1","type":"event_callback"}'
    first = accepted("slack", request(slack(body), body))
    retried = accepted("slack", request(slack(body, at=str(NOW_S + 5)), body))
    assert first.replay_key == retried.replay_key == b"i:Ev1"


def test_without_an_id_in_the_body_its_bytes_are_the_key() -> None:
    form = b"token=abc&command=%2Fpage"
    verdict = accepted("slack", request(slack(form), form))
    signed = b"v0:%d:%b" % (NOW_S, form)
    assert verdict.replay_key == b"d:" + hashlib.sha256(signed).digest()
    assert verdict.delivery_id is None


@pytest.mark.parametrize(
    "odd", ['"id with spaces"', '"' + "x" * 300 + '"', "true", "null", "[]", "1.5", '"\\ud83d"', '""']
)
def test_an_odd_id_in_the_body_is_no_key(odd: str) -> None:
    body = b'{"event":{"id":%b}}' % odd.encode()
    verdict = accepted("pagerduty", request([("x-pagerduty-signature", "v1=" + hex_mac(body))], body))
    assert verdict.delivery_id is None
    assert verdict.replay_key.startswith(b"d:")
    assert verdict.replay_window == SHORT


@pytest.mark.parametrize(
    ("slug", "window"),
    [("grafana", SHORT), ("jira", SHORT), ("github", LONG)],
)
def test_senders_without_time_and_id_are_duplicates_for_a_short_while_only(slug: str, window: timedelta) -> None:
    """GitHub is the exception: it can be told to deliver again for three days."""
    header = {"grafana": "x-grafana-alerting-signature", "jira": "x-hub-signature"}.get(slug, "x-hub-signature-256")
    prefix = "" if slug == "grafana" else "sha256="
    verdict = accepted(slug, request([(header, prefix + hex_mac(BODY))]))
    assert verdict.replay_window == window


def test_a_token_proves_nothing_about_the_body_so_equal_bodies_count_for_ten_minutes() -> None:
    token = "t" * 40
    first = accepted("bearer", request([("authorization", "Bearer " + token)]), token)
    assert first.replay_window == SHORT
    assert first.replay_key == b"d:" + hashlib.sha256(BODY).digest()


def test_an_id_cannot_be_made_to_look_like_a_digest() -> None:
    assert accepted("standard_webhooks", request(standard(message_id="d:x")), WHSEC).replay_key == b"i:d:x"
