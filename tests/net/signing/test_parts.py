"""Signed parts beyond the body, and the template's promise that no boundary can be moved."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.net.signing import (
    CompiledProfile,
    RefusalReason,
    Refused,
    SignedRequest,
    Verified,
    dummy_verify,
    get_profile,
    sign,
    verify,
)
from app.net.signing.template import TemplateError, parse_template
from tests.fixtures.cost import processor_seconds
from tests.net.signing.senders import BODY, NOW, NOW_S, TEXT, compiled, github, hex_mac, request, secret


def judge(profile: CompiledProfile, incoming: SignedRequest) -> Verified | Refused:
    return verify(profile, incoming, [secret(profile, TEXT)], NOW)


def test_method_path_and_a_header_are_signed() -> None:
    profile = compiled("{method} {path}\n{header:x-tenant}\n{body}")
    signature = hex_mac(b"POST /in/abc\nacme\n" + BODY)
    incoming = request([("x-sig", signature), ("x-tenant", "acme")])

    assert isinstance(judge(profile, incoming), Verified)
    for changed in (
        incoming._replace(method="PUT"),
        incoming._replace(path="/in/abd"),
        request([("x-sig", signature), ("x-tenant", "acmf")]),
        request([("x-sig", signature)]),
    ):
        assert isinstance(judge(profile, changed), Refused)


def test_our_own_signer_agrees_on_such_a_template() -> None:
    profile = compiled("{method} {path}\n{header:x-tenant}\n{body}")
    headers = sign(profile, TEXT, BODY, NOW, path="/in/abc", signed_headers={"x-tenant": "acme"})
    assert headers == [("x-sig", hex_mac(b"POST /in/abc\nacme\n" + BODY))]


def test_a_percent_sign_in_a_template_is_a_percent_sign() -> None:
    profile = compiled("100%:{timestamp}:%s{body}", timestamp={"header": "x-time", "format": "unix_s", "signed": True})
    signature = hex_mac(b"100%%:%d:%%s%b" % (NOW_S, BODY))
    assert isinstance(judge(profile, request([("x-sig", signature), ("x-time", str(NOW_S))])), Verified)


@pytest.mark.parametrize(
    "template",
    ["{id}{body}", "{body}{id}", "{timestamp}{body}", "{method}{path}.{body}", "{header:x-a}{header:x-b}.{body}"],
)
def test_parts_without_a_separator_are_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(template)


@given(first=st.text("ab:.", max_size=6), second=st.text("ab:.", max_size=6), body=st.text("ab:.", max_size=6))
def test_two_requests_that_sign_the_same_bytes_are_the_same_request(first: str, second: str, body: str) -> None:
    """Every accepted split of the signed bytes must be the one that was signed."""
    profile = compiled(
        "{id}::{header:x-b}.{body}", delivery_id={"header": "x-a", "signed": True, "stable_on_retry": True}
    )
    message = f"{first}::{second}.{body}".encode()
    signature = hex_mac(message)
    splits = [
        (match.group(1), match.group(2), match.group(3))
        for cut in range(len(message) + 1)
        for dot in range(cut, len(message) + 1)
        if (match := re.fullmatch(f"(.{{{cut}}})::(.{{{max(dot - cut - 2, 0)}}})\\.(.*)", message.decode(), re.DOTALL))
    ]
    accepted = {
        (a, b, rest)
        for a, b, rest in splits
        if isinstance(judge(profile, request([("x-sig", signature), ("x-a", a), ("x-b", b)], rest.encode())), Verified)
    }
    assume(splits)
    assert len(accepted) <= 1


def test_a_part_behind_the_body_cannot_take_a_piece_of_it() -> None:
    profile = compiled("{body}.{header:x-note}")
    signature = hex_mac(b"a.b.c")

    whole = request([("x-sig", signature), ("x-note", "c")], b"a.b")
    assert isinstance(judge(profile, whole), Verified)
    moved = request([("x-sig", signature), ("x-note", "b.c")], b"a")
    assert judge(profile, moved) == Refused(RefusalReason.MALFORMED)


def test_every_refusal_costs_a_digest_of_the_body() -> None:
    """Case A29: with a large body, an unknown source would otherwise answer at once and a known one late."""
    body = b"x" * 8_000_000
    profile, token = get_profile("github"), get_profile("bearer")
    held, held_token = [secret(profile, TEXT)], [secret(token, "t" * 40)]
    wrong = request([("x-hub-signature-256", "sha256=" + "0" * 64)], body)
    assert verify(profile, wrong, held, NOW) == Refused(RefusalReason.MISMATCH)
    bare, bearer = request([], body), request([("authorization", "Bearer " + "u" * 40)], body)
    known = processor_seconds(lambda: verify(profile, wrong, held, NOW), tries=7)
    others: list[Callable[[], object]] = [
        lambda: dummy_verify(wrong),
        lambda: verify(profile, bare, held, NOW),
        lambda: verify(profile, wrong, [], NOW),
        lambda: verify(token, bearer, held_token, NOW),
    ]
    for other in others:
        assert 0.4 < processor_seconds(other, tries=7) / known < 2.5


def test_a_header_over_the_limit_is_refused_even_if_it_verifies() -> None:
    profile = compiled("{header:x-note}.{body}", limits={"max_header_bytes": 64})
    for size, expected in ((64, Verified), (65, Refused)):
        note = "n" * size
        signature = hex_mac(note.encode() + b"." + BODY)
        assert isinstance(judge(profile, request([("x-sig", signature), ("x-note", note)])), expected)


def test_unrelated_headers_may_repeat_and_be_long() -> None:
    noise: list[tuple[str, str | bytes]] = [("cookie", "a=1"), ("cookie", "b=2"), ("x-noise", "n" * 9000)]
    assert isinstance(judge(get_profile("github"), request([*noise, *github()])), Verified)
