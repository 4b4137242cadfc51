"""Signature profiles against vectors that others computed: vendors' documents and SDKs, and a second implementation.

The vectors inside the profiles are judged when a profile loads; here they are named one by one, and the published
ones are repeated so that an edit of a profile cannot take its own proof away.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import standardwebhooks

from app.net.signing import (
    CompiledProfile,
    Refused,
    SignedRequest,
    Verified,
    generate_secret,
    get_profile,
    load_secret,
    shipped_profiles,
    sign,
    stored_form,
    verify,
)
from app.net.signing.compiler import judge_vector
from app.net.signing.format import Vector

Pairs = list[tuple[str, str]]

SHIPPED = [
    pytest.param(compiled, vector, id=f"{slug}-{vector.name}")
    for slug, compiled in shipped_profiles().items()
    for vector in compiled.profile.vectors
]


@pytest.mark.parametrize(("compiled", "vector"), SHIPPED)
def test_a_shipped_vector_has_the_verdict_that_it_names(compiled: CompiledProfile, vector: Vector) -> None:
    assert judge_vector(compiled, vector) == vector.expect


@pytest.mark.parametrize("slug", sorted(shipped_profiles()))
def test_each_profile_proves_that_it_accepts_and_that_it_refuses(slug: str) -> None:
    verdicts = [vector.expect for vector in shipped_profiles()[slug].profile.vectors]
    assert verdicts.count("accept") >= 1
    assert len(verdicts) - verdicts.count("accept") >= 3


def judge(slug: str, headers: Pairs, body: bytes, text: str, now: datetime) -> Verified | Refused:
    profile = get_profile(slug)
    held = load_secret(profile, stored_form(profile, text), secret_id="current")
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return verify(profile, SignedRequest("POST", "/in/abc", b"", raw, body), [held], now)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_BODY = b'{"test": 2432232314}'
WEBHOOK_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
EVERYBODY = "It's a Secret to Everybody"
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)

PAGERDUTY_SECRET = "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK"
PAGERDUTY_BODY = (
    b'{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_type"'
    b':"incident","occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty.com'
    b'/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Tenex Eng'
    b'ineer","type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident","self":"https'
    b'://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/PGR0VU2","n'
    b'umber":2,"status":"triggered","title":"A little bump in the road","service":{"html_url":"https://acm'
    b'e.pagerduty.com/services/PF9KMXH","id":"PF9KMXH","self":"https://api.pagerduty.com/services/PF9KMXH"'
    b',"summary":"API Service","type":"service_reference"},"assignees":[{"html_url":"https://acme.pagerdut'
    b'y.com/users/PTUXL6G","id":"PTUXL6G","self":"https://api.pagerduty.com/users/PTUXL6G","summary":"User'
    b' 123","type":"user_reference"}],"escalation_policy":{"html_url":"https://acme.pagerduty.com/escalati'
    b'on_policies/PUS0KTE","id":"PUS0KTE","self":"https://api.pagerduty.com/escalation_policies/PUS0KTE","'
    b'summary":"Default","type":"escalation_policy_reference"},"teams":[{"html_url":"https://acme.pagerdut'
    b'y.com/teams/PFCVPS0","id":"PFCVPS0","self":"https://api.pagerduty.com/teams/PFCVPS0","summary":"Engi'
    b'neering","type":"team_reference"}],"priority":{"html_url":"https://acme.pagerduty.com/account/incide'
    b'nt_priorities","id":"PSO75BM","self":"https://api.pagerduty.com/priorities/PSO75BM","summary":"P1","'
    b'type":"priority_reference"},"urgency":"high","conference_bridge":{"conference_number":1000,"conferen'
    b'ce_url":"https://example.com"},"resolve_reason":null}}}'
)


def webhook_headers(signatures: str) -> Pairs:
    return [
        ("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("Webhook-Timestamp", "1614265330"),
        ("Webhook-Signature", signatures),
    ]


# Source: security vectors published by each sender, read 2026-11; see the profiles for the pages.
PUBLISHED = [
    pytest.param(
        "standard_webhooks",
        webhook_headers(WEBHOOK_SIGNATURE),
        WEBHOOK_BODY,
        WEBHOOK_SECRET,
        1_614_265_330,
        id="standard-webhooks",
    ),
    pytest.param(
        "github",
        [("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
        b"Hello, World!",
        EVERYBODY,
        0,
        id="github",
    ),
    pytest.param(
        "jira",
        [("X-Hub-Signature", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9")],
        b"Hello World!",
        EVERYBODY,
        0,
        id="jira",
    ),
    pytest.param(
        "slack",
        [
            ("X-Slack-Request-Timestamp", "1531420618"),
            ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        ],
        SLACK_BODY,
        SLACK_SECRET,
        1_531_420_618,
        id="slack",
    ),
    pytest.param(
        "pagerduty",
        [("X-PagerDuty-Signature", "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd")],
        PAGERDUTY_BODY,
        PAGERDUTY_SECRET,
        0,
        id="pagerduty",
    ),
    pytest.param(
        "grafana",
        [("X-Grafana-Alerting-Signature", "3bcebf43c85d20bba6e3b6ba278af1d2ba3ab0d57de271b0ad30b833e851c5a6")],
        b"test message",
        "secret",
        0,
        id="grafana",
    ),
    pytest.param(
        "grafana_timestamp",
        [
            ("X-Grafana-Alerting-Timestamp", "0"),
            ("X-Grafana-Alerting-Signature", "ac18a483a582b60a883e974541afe25aa1026136163e94665649743324183ef1"),
        ],
        b"test message",
        "secret",
        0,
        id="grafana-timestamp",
    ),
]


@pytest.mark.parametrize(("slug", "headers", "body", "text", "seconds"), PUBLISHED)
def test_a_published_vector_is_accepted(slug: str, headers: Pairs, body: bytes, text: str, seconds: int) -> None:
    assert isinstance(judge(slug, headers, body, text, at(seconds)), Verified)


@pytest.mark.parametrize(("slug", "headers", "body", "text", "seconds"), PUBLISHED)
def test_its_failing_twins_are_refused(slug: str, headers: Pairs, body: bytes, text: str, seconds: int) -> None:
    name, signature = headers[-1]
    swapped = "1" if signature[-6] != "1" else "2"
    twins: list[tuple[Pairs, bytes, str]] = [
        (headers, body + b" ", text),
        (headers, body, text[:-1] + ("x" if text[-1] != "x" else "y")),
        ([*headers[:-1], (name, signature[:-6] + swapped + signature[-5:])], body, text),
        ([*headers[:-1], (name, signature[:-2])], body, text),
        (headers[:-1], body, text),
    ]
    for twin_headers, twin_body, twin_text in twins:
        assert isinstance(judge(slug, twin_headers, twin_body, twin_text, at(seconds)), Refused)


def test_standard_webhooks_own_invalid_twin() -> None:
    twin = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="
    verdict = judge("standard_webhooks", webhook_headers(twin), WEBHOOK_BODY, WEBHOOK_SECRET, at(1_614_265_330))
    assert isinstance(verdict, Refused)


def test_standard_webhooks_with_several_signatures() -> None:
    wrong = "v1," + base64.b64encode(b"w" * 32).decode()
    signatures = f"{wrong} v2,anything {WEBHOOK_SIGNATURE} {wrong}"
    verdict = judge("standard_webhooks", webhook_headers(signatures), WEBHOOK_BODY, WEBHOOK_SECRET, at(1_614_265_330))
    assert isinstance(verdict, Verified)


@pytest.mark.parametrize("text", [WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_")])
def test_standard_webhooks_secrets_with_and_without_prefix(text: str) -> None:
    verdict = judge("standard_webhooks", webhook_headers(WEBHOOK_SIGNATURE), WEBHOOK_BODY, text, at(1_614_265_330))
    assert isinstance(verdict, Verified)


@pytest.mark.parametrize("size", [24, 25, 26, 32, 64])
@pytest.mark.parametrize("padded", [True, False])
def test_the_library_of_standard_webhooks_signs_and_we_verify(size: int, padded: bool) -> None:
    text = "whsec_" + base64.b64encode(bytes(range(size))).decode()
    text = text if padded else text.rstrip("=")
    now = datetime.now(UTC).replace(microsecond=0)
    body = '{"text":"Grüße, 世界"}'
    signature = standardwebhooks.Webhook(text).sign("msg_1", now, body)
    headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", str(int(now.timestamp()))),
        ("webhook-signature", signature),
    ]

    assert isinstance(judge("standard_webhooks", headers, body.encode(), text, now), Verified)
    assert isinstance(judge("standard_webhooks", headers, body.encode(), text, now + timedelta(seconds=301)), Refused)


def test_we_sign_and_the_library_of_standard_webhooks_verifies() -> None:
    profile = get_profile("standard_webhooks")
    text = generate_secret(profile)
    headers = dict(sign(profile, text, WEBHOOK_BODY, datetime.now(UTC), "msg_1"))

    assert standardwebhooks.Webhook(text).verify(WEBHOOK_BODY, headers) == {"test": 2432232314}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(text).verify(WEBHOOK_BODY + b" ", headers)


# Source: RFC 4231, test case 2 (the key is shorter than we allow for a source, so it is loaded without that check).
def test_hmac_sha256_of_the_rfc() -> None:
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    headers = [("x-hub-signature-256", "sha256=" + digest)]
    assert isinstance(judge("github", headers, b"what do ya want for nothing?", "Jefe", at(0)), Verified)


# Source: Twilio, the test of its SDKs' request validator.
TWILIO_FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}


@pytest.mark.parametrize(
    ("changes", "is_right"),
    [
        ({}, True),
        ({"origin": "https://mycompany.com:443"}, True),
        ({"origin": "http://mycompany.com"}, False),
        ({"path": "/myapp.php5"}, False),
        ({"query": b"foo=1"}, False),
        ({"body": b"CallSid=x"}, False),
    ],
)
def test_twilios_own_vector(changes: dict[str, Any], is_right: bool) -> None:
    profile = get_profile("twilio")
    held = load_secret(profile, stored_form(profile, "12345"), secret_id="current")
    headers = [(b"x-twilio-signature", b"RSOYDt4T1cUTdK1PDd93/VVr8B8=")]
    body = urlencode(TWILIO_FORM).encode()
    signed = SignedRequest("POST", "/myapp.php", b"foo=1&bar=2", headers, body, "https://mycompany.com")
    verdict = verify(profile, signed._replace(**changes), [held], at(0))
    assert isinstance(verdict, Verified) == is_right


def test_tokens_and_topics_that_openssl_signed_are_among_the_vectors() -> None:
    """Public-key schemes have no published vectors of lasting keys; theirs were made with another implementation."""
    for slug in ("azure_monitor", "azure_monitor_v2", "google_oidc", "sns", "mtls", "twilio"):
        names = [vector.name for vector in get_profile(slug).profile.vectors if vector.expect == "accept"]
        assert names
        assert "OpenSSL" in get_profile(slug).profile.source
