"""A29: whether a source exists shows in no work that a stranger could time.

Work is counted, not timed: keyed digests with their algorithm and the bytes that they cover. A clock on a shared machine would
prove nothing.
"""

from __future__ import annotations

import base64
import hmac
import string
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest

from app.net import signing
from app.net.signing import (
    Kind,
    Refused,
    SignedRequest,
    curve,
    dummy_verify,
    generate_secret,
    get_profile,
    load_profile,
    shipped_profiles,
    sign,
    verify,
)
from app.net.signing.checks import CURVE_TRIES, MAX_ACTIVE
from tests.attacks.target import Target
from tests.net.signing.senders import BODY, NOW, SYMMETRIC, accepted, compiled, secret, some_secret

JSON = ("content-type", "application/json")
SLUGS = sorted(shipped_profiles())


class Work:
    """What was digested under a key, as algorithms and numbers of bytes, and what on the curve, since the last look."""

    def __init__(self) -> None:
        self.digests: list[tuple[str, int]] = []
        self.on_curve: list[int] = []

    def taken(self) -> tuple[list[tuple[str, int]], list[int]]:
        taken = self.digests, self.on_curve
        self.digests, self.on_curve = [], []
        return taken


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    counted, real = Work(), hmac.digest

    def digest(key: bytes, message: bytes, algorithm: Any) -> bytes:
        counted.digests.append((algorithm if isinstance(algorithm, str) else algorithm().name, len(message)))
        return real(key, message, algorithm)

    monkeypatch.setattr(hmac, "digest", digest)
    really_holds = curve.holds

    def holds(key: bytes, signature: bytes, message: bytes) -> bool:
        assert curve.is_signature(signature), "given up before any work"
        counted.on_curve.append(len(message))
        return really_holds(key, signature, message)

    monkeypatch.setattr(curve, "holds", holds)
    return counted


def read_again(slug: str) -> signing.CompiledProfile:
    """The profile, compiled while the work is counted."""
    return load_profile(files(signing).joinpath("profiles", f"{slug}.yaml").read_text(encoding="utf-8"))


def right_headers(profile: signing.CompiledProfile, text: str) -> list[tuple[bytes, bytes]]:
    """What the rightful sender sends: signed here, or as a vector has it where the key is not ours."""
    if profile.kind in SYMMETRIC:
        pairs = sign(profile, text, BODY, NOW, "msg_1", path="/in/abc")
    else:
        pairs = list(accepted(profile).headers)
    return [(name.encode(), value.encode()) for name, value in pairs]


def requests(profile: signing.CompiledProfile, text: str) -> dict[str, SignedRequest]:
    """One request for each way to be refused; each with the origin that the intake route knows."""
    right = right_headers(profile, text)
    bent = [(name, value[:-1] + (b"1" if value[-1:] != b"1" else b"2")) for name, value in right]
    made = {
        "nothing": SignedRequest("POST", "/in/abc", b"", [], BODY),
        "other-body": SignedRequest("POST", "/in/abc", b"", right, BODY[:-1] + b" "),
        "bent": SignedRequest("POST", "/in/abc", b"token=wrong", bent, BODY),
        "twice": SignedRequest("POST", "/in/abc", b"token=a&token=b", [*right, *right], BODY),
        "junk": SignedRequest("POST", "/in/abc", b"token=", [(name, b"\xff\x00") for name, _ in right], BODY),
        "many": SignedRequest("POST", "/in/abc", b"", [(n, many(profile, v)) for n, v in right], BODY),
    }
    return {name: request._replace(origin="https://tocsin.test") for name, request in made.items()}


def many(profile: signing.CompiledProfile, value: bytes) -> bytes:
    """Three well-formed wrong signatures of Ed25519, where there would be one; nothing else changes."""
    wrong = b"v1a," + base64.b64encode(b"w" * 63 + b"\x00")
    return b" ".join([wrong] * 3) if profile.kind is Kind.ED25519 and value.startswith(b"v1a,") else value


@pytest.mark.attack("A29")
@pytest.mark.parametrize("held", [0, 1, 2, MAX_ACTIVE])
@pytest.mark.parametrize("slug", SLUGS)
def test_a_refusal_costs_what_a_strangers_costs(slug: str, held: int, work: Work) -> None:
    profile = read_again(slug)
    text = some_secret(profile)
    # A source that takes everything refuses only without its tenant's consent.
    most = profile.most_secrets if profile.kind is not Kind.NONE else 0
    secrets = [secret(profile, some_secret(profile)) for _ in range(min(held, most))]
    for name, request in requests(profile, text).items():
        work.taken()
        dummy_verify(request, on_curve=profile.kind is Kind.ED25519)
        strangers, strangers_on_curve = work.taken()
        assert isinstance(verify(profile, request, secrets, NOW), Refused), name
        ours, ours_on_curve = work.taken()
        assert len(ours) == len(strangers), f"{name}: {len(ours)} digests, a stranger's request costs {len(strangers)}"
        # A signing profile covers an id and a time besides the body: some tens of bytes, whatever the body's size.
        assert all(abs(one[1] - other[1]) < 100 for one, other in zip(ours, strangers, strict=True)), name
        assert {algorithm for algorithm, _ in ours} == {"sha256"}, name
        assert len(ours_on_curve) == len(strangers_on_curve), name
        assert (profile.kind is Kind.ED25519) == bool(ours_on_curve), name


FORM = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234"


@pytest.mark.attack("A29")
@pytest.mark.parametrize("held", range(1, MAX_ACTIVE + 1))
def test_what_a_twilio_source_costs_otherwise_is_known(held: int, work: Work) -> None:
    """The one shipped profile that tells (docs/security.md, "What is open"): SHA-1 twice for a secret, of form and URL alone."""
    profile = read_again("twilio")
    secrets = [secret(profile, some_secret(profile)) for _ in range(held)]
    form = SignedRequest(
        "POST", "/in/abc", b"", [(b"x-twilio-signature", b"A" * 27 + b"=")], FORM, "https://tocsin.test"
    )
    work.taken()
    assert isinstance(verify(profile, form, secrets, NOW), Refused)
    digests, _ = work.taken()
    spent = [size for algorithm, size in digests if algorithm == "sha1"]
    assert len(spent) == 2 * held
    assert max(spent) < len(FORM) + 100
    assert [one for one in digests if one[0] != "sha1"] == [("sha256", len(FORM))] * (MAX_ACTIVE - 2 * held)
    # What cannot be a form of Twilio's is not digested, whatever the signature.
    for body in (b"x=" + b"y" * 65_536, b"{}"):
        assert isinstance(verify(profile, form._replace(body=body), secrets, NOW), Refused)
        assert work.taken()[0] == [("sha256", len(body))] * MAX_ACTIVE


@pytest.mark.attack("A29")
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize("held", [0, 1, 2, MAX_ACTIVE])
def test_a_profile_of_a_tenants_own_costs_as_many_digests_of_its_kind(algorithm: str, held: int, work: Work) -> None:
    """As many and over the same bytes; those that its own secrets need are of its own algorithm (docs/security.md)."""
    profile = compiled(algorithm=algorithm, legacy=algorithm == "sha1")
    secrets = [secret(profile, some_secret(profile)) for _ in range(held)]
    for name, request in requests(profile, some_secret(profile)).items():
        work.taken()
        assert isinstance(verify(profile, request, secrets, NOW), Refused)
        digests, _ = work.taken()
        assert [size for _, size in digests] == [len(request.body)] * MAX_ACTIVE, name
        own = held if algorithm != "sha256" and name not in ("nothing", "twice") else 0
        assert [one for one, _ in digests] == [algorithm] * own + ["sha256"] * (MAX_ACTIVE - own), name


@pytest.mark.attack("A29")
async def test_ids_without_a_source_cost_what_either_kind_of_source_costs(target: Target, work: Work) -> None:
    """Some cost what an Ed25519 source's refusal does, always the same ones; with or without a door behind the id."""
    costs: dict[str, int] = {}
    for letter in string.ascii_lowercase + string.digits:
        path = f"/in/{letter * 26}"
        assert (await target.post(BODY, [JSON], path=path)).status_code == 401
        costs[path] = len(work.taken()[1])
        assert (await target.post(BODY, [JSON], path=path)).status_code == 401
        assert len(work.taken()[1]) == costs[path], "the same id, another price"
    assert set(costs.values()) == {0, CURVE_TRIES}
    for profile, price in (("standard_webhooks_ed25519", CURVE_TRIES), ("github", 0)):
        source = await target.source_of(profile=profile, secret=some_secret(get_profile(profile)))
        for path in (source.source.url_path, source.source.url_path + "/nowhere"):
            work.taken()
            assert (await target.post(BODY, [JSON], path=path)).status_code == 401
            assert len(work.taken()[1]) == price, "a door that is not there must not cost something else"


@pytest.mark.attack("A29")
@pytest.mark.parametrize("slug", ["standard_webhooks", "slack", "stripe", "zendesk"])
def test_a_stale_request_costs_the_same(slug: str, work: Work) -> None:
    profile = read_again(slug)
    text = generate_secret(profile)
    request = requests(profile, text)["nothing"]._replace(
        headers=[(n.encode(), v.encode()) for n, v in sign(profile, text, BODY, NOW, "msg_1")]
    )
    later = NOW + timedelta(seconds=301)
    work.taken()
    assert isinstance(verify(profile, request, [secret(profile, text)], later), Refused)
    ours = work.taken()
    dummy_verify(request)
    assert len(ours) == len(work.taken())
