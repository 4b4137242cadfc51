"""A37, A38: what claims to be a message of Amazon SNS, and wants us to call somewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.jobs import PermanentJobError
from app.db.tenancy import tenant_session
from app.ingest.confirmations import ConfirmationFailed, ConfirmSubscription, confirm_subscription
from app.ingest.schemas import RefusalExample
from app.net.outbound import OutboundError, OutboundResponse
from app.net.signing import RefusalReason, Refused, Verified, get_profile
from app.net.signing.checks import Wanted
from app.net.signing.key_sets import MAX_DOCUMENT_BYTES, Document, KeySet, read_document
from app.net.signing.plugins.sns import is_confirm_url
from app.net.signing.remote_keys import KeysUnavailable, RemoteKeys, fetch_with
from tests.attacks.target import Target
from tests.attacks.test_fuzzing import JSON as ANY_JSON
from tests.attacks.test_fuzzing import QUICK
from tests.net.callers import outbound
from tests.net.peers import certificate, peer, reply
from tests.net.signing.issuers import CERTIFICATE_URL, CONFIRM_URL, TOPIC, Topic, from_topic, rsa_key
from tests.net.signing.senders import NOW, secret

SNS = Topic()
PROFILE = get_profile("sns")
OTHER_TOPIC = TOPIC.replace("alarms", "others")
PLAIN = ("content-type", "text/plain; charset=UTF-8")
NAMED = ("x-amz-sns-topic-arn", TOPIC)

EVIL_URLS = {
    "suffix": "https://sns.evil.amazonaws.com.attacker.net/x.pem",
    "lookalike": "https://sns.us-east-1.amazonaws.com.attacker.net/SimpleNotificationService-1.pem",
    "userinfo": "https://sns.us-east-1.amazonaws.com@attacker.net/SimpleNotificationService-1.pem",
    "userinfo-2": "https://user:pw@sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
    "port": "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-1.pem",
    "http": CERTIFICATE_URL.replace("https", "http"),
    "bucket": "https://sns-us-east-1.s3.amazonaws.com/SimpleNotificationService-1.pem",
    "other-service": "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
    "subdomain": "https://evil.sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
    "path": "https://sns.us-east-1.amazonaws.com/../evil.pem",
    "open-redirect": "https://sns.us-east-1.amazonaws.com/?Action=x&next=https://evil.test/a.pem",
    "query": CERTIFICATE_URL + "?x=1",
    "fragment": CERTIFICATE_URL + "#@evil.test",
    "newline": CERTIFICATE_URL + "\n",
    "upper": CERTIFICATE_URL.replace("https", "HTTPS"),
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "file": "file:///etc/passwd",
    "other-region": CERTIFICATE_URL.replace("us-east-1", "eu-west-1"),
    "no-region": CERTIFICATE_URL.replace("us-east-1", "attacker"),
    "other-partition": CERTIFICATE_URL.replace(".com/", ".com.cn/"),
    "unicode-dot": "https://sns.us-east-1.amazonaws\u3002com/SimpleNotificationService-1.pem",
    "empty": "",
}


def judge(body: bytes, *, topic: str = TOPIC, pins: Sequence[str] = (TOPIC,)) -> Verified | Refused:
    assert PROFILE.remote is not None
    held = [secret(PROFILE, pin) for pin in pins]
    return PROFILE.remote.judge(from_topic(body, topic), held, NOW, SNS.held())


def test_the_messages_that_the_others_are_bent_from_are_accepted() -> None:
    for version in ("1", "2"):
        verdict = judge(SNS.message(version=version))
        assert isinstance(verdict, Verified)
        assert verdict.confirm_url is None
        assert verdict.delivery_id == "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"
    asked = judge(SNS.message("SubscriptionConfirmation"))
    assert isinstance(asked, Verified)
    assert asked.confirm_url == CONFIRM_URL
    left = judge(SNS.message("UnsubscribeConfirmation"))
    assert isinstance(left, Verified)
    assert left.confirm_url is None, "nobody is subscribed again without having asked"


@pytest.mark.attack("A38")
@pytest.mark.parametrize("url", EVIL_URLS.values(), ids=EVIL_URLS)
def test_a_certificate_from_elsewhere_is_not_even_wanted(url: str) -> None:
    assert PROFILE.remote is not None
    body = SNS.message(SigningCertURL=url)
    assert PROFILE.remote.wants(from_topic(body), [secret(PROFILE, TOPIC)], NOW) == ()
    assert judge(body) == Refused(RefusalReason.UNTRUSTED)


@pytest.mark.attack("A37")
@pytest.mark.parametrize("url", [*EVIL_URLS.values(), CERTIFICATE_URL, CONFIRM_URL.replace("Confirm", "Un")])
def test_a_confirmation_elsewhere_is_refused_though_the_signature_holds(url: str) -> None:
    assert not is_confirm_url(url)
    verdict = judge(SNS.message("SubscriptionConfirmation", SubscribeURL=url))
    assert isinstance(verdict, Refused)


@pytest.mark.attack("A37", "A38")
def test_another_topic_is_refused_and_its_certificate_is_not_wanted() -> None:
    assert PROFILE.remote is not None
    body = SNS.message(TopicArn=OTHER_TOPIC)
    for header in (TOPIC, OTHER_TOPIC):
        assert PROFILE.remote.wants(from_topic(body, header), [secret(PROFILE, TOPIC)], NOW) == ()
        assert judge(body, topic=header) == Refused(RefusalReason.CLAIM)
    assert judge(SNS.message(), pins=()) == Refused(RefusalReason.NO_SECRET)


@pytest.mark.attack("A37")
def test_every_signed_word_counts() -> None:
    for kind in ("Notification", "SubscriptionConfirmation"):
        document = json.loads(SNS.message(kind, Subject="ALARM") if kind == "Notification" else SNS.message(kind))
        for name in ("Message", "MessageId", "Timestamp", "Type", "Token", "Subject"):
            if name in document:
                bent = json.dumps({**document, name: document[name] + "x"}).encode()
                assert isinstance(judge(bent), Refused), name
                gone = json.dumps({key: value for key, value in document.items() if key != name}).encode()
                assert isinstance(judge(gone), Refused), name
    forged = Topic(rsa_key(2)).message("SubscriptionConfirmation")
    assert judge(forged) == Refused(RefusalReason.MISMATCH)


@pytest.mark.attack("A37")
def test_a_confirmation_in_another_region_is_refused() -> None:
    elsewhere = CONFIRM_URL.replace("https://sns.us-east-1", "https://sns.eu-west-1")
    assert is_confirm_url(elsewhere)
    body = SNS.message("SubscriptionConfirmation", SubscribeURL=elsewhere)
    assert judge(body) == Refused(RefusalReason.UNTRUSTED)


async def confirmations(target: Target) -> list[dict[str, Any]]:
    return await target.rows("select payload from jobs where kind = 'ingest.confirm_subscription'")


@pytest.fixture
def asked(target: Target, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were fetched while requests were answered; each has SNS's certificate."""
    fetched: list[str] = []

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return SNS.certificate()

    monkeypatch.setattr(target.application._ingest._proofs._keys, "_fetch", fetch)
    return fetched


@pytest.mark.attack("A37")
async def test_a_confirmation_that_is_not_signed_or_leads_elsewhere_is_neither_called_nor_queued(
    target: Target, asked: list[str]
) -> None:
    source = await target.source_of(profile="sns", secret=TOPIC)
    now = target.clock.now()
    metadata = SNS.message("SubscriptionConfirmation", now=now, SubscribeURL="http://169.254.169.254/")
    unsigned = json.dumps({**json.loads(metadata), "Signature": "AAAA", "SubscribeURL": CONFIRM_URL}).encode()
    other = SNS.message("SubscriptionConfirmation", now=now, TopicArn=OTHER_TOPIC)
    for body in (metadata, unsigned, other):
        await target.refuses(body, [PLAIN, NAMED], source=source)
    assert set(asked) <= {CERTIFICATE_URL}
    assert await confirmations(target) == []


@pytest.mark.attack("A37")
async def test_a_right_confirmation_is_left_to_a_job_once(target: Target, asked: list[str]) -> None:
    source = await target.source_of(profile="sns", secret=TOPIC)
    body = SNS.message("SubscriptionConfirmation", now=target.clock.now())
    for _ in range(2):
        answer = await target.post(body, [PLAIN, NAMED], source=source)
        assert (answer.status_code, answer.content) == (200, b"")
    assert [row["payload"]["url"] for row in await confirmations(target)] == [CONFIRM_URL]
    assert asked == [CERTIFICATE_URL]
    assert await target.deliveries() == []
    taken = await target.post(SNS.message(now=target.clock.now()), [PLAIN, NAMED], source=source)
    assert taken.status_code == 202


class Caller:
    """Outgoing calls that are written down; the answer is what the test says."""

    def __init__(self, status: int = 200) -> None:
        self.urls: list[str] = []
        self._status = status

    async def request(self, method: str, url: str, **_: Any) -> OutboundResponse:
        self.urls.append(url)
        return OutboundResponse(self._status, {}, b"")


class Context:
    """What of a job's frame the handler uses."""

    def __init__(self, target: Target, caller: Caller) -> None:
        self.resources = self
        self.clock = target.clock
        self._target = target
        self._caller = caller

    def get(self, _kind: object) -> Caller:
        return self._caller

    def transaction(self) -> Any:
        return tenant_session(self._target.database, self._target.tenant_id)


@pytest.mark.attack("A37")
async def test_the_job_judges_the_address_again_and_records_what_it_did(target: Target) -> None:
    source_id = target.source.source.id
    for url in (*EVIL_URLS.values(), "http://169.254.169.254/", CONFIRM_URL.replace("amazonaws.com", "evil.test")):
        caller = Caller()
        with pytest.raises(PermanentJobError):
            await confirm_subscription(Context(target, caller), ConfirmSubscription(source_id=source_id, url=url))
        assert caller.urls == []
    job = ConfirmSubscription(source_id=source_id, url=CONFIRM_URL)
    with pytest.raises(ConfirmationFailed):
        await confirm_subscription(Context(target, Caller(status=302)), job)
    caller = Caller()
    await confirm_subscription(Context(target, caller), job)
    assert caller.urls == [CONFIRM_URL]
    trail = await target.rows("select action, subject from audit_entries where action like 'source.subscription%'")
    assert trail == [{"action": "source.subscription_confirmed", "subject": f"source:{source_id}"}]


@pytest.mark.attack("A38")
async def test_a_redirect_a_vast_or_an_odd_certificate_is_none(tmp_path: Path) -> None:
    """What answers at the right host is no more believed than what it says."""
    context, trusted = certificate(tmp_path, "127.0.0.1")
    http = outbound("127.0.0.0/8", egress_ca_file=str(trusted))
    fetch = fetch_with(http)
    redirect = reply(b"", status="302 Found", headers="location: http://169.254.169.254/\r\n")
    try:
        for answer in (redirect, reply(b"x" * (MAX_DOCUMENT_BYTES + 1)), reply(b"", status="404 Not Found")):
            async with peer(answer, tls=context) as server:
                with pytest.raises(OutboundError):
                    await fetch(server.url("/x.pem", scheme="https"))
                assert len(server.heard) == 1
        for odd in (b"", b"-----BEGIN CERTIFICATE-----", Topic(rsa_key(2)).certificate()[:-40]):
            async with peer(reply(odd), tls=context) as server:
                keys = RemoteKeys(fetch, ticks=lambda: 0.0)
                with pytest.raises(KeysUnavailable):
                    await keys.gather([Wanted(server.url("/x.pem", scheme="https"), Document.CERTIFICATE, "")])
                await keys.aclose()
    finally:
        await http.aclose()


@pytest.mark.attack("A38")
def test_a_certificate_counts_while_it_is_valid_and_of_a_usual_key_only() -> None:
    assert PROFILE.remote is not None
    request, held = from_topic(SNS.message()), [secret(PROFILE, TOPIC)]
    expired = {CERTIFICATE_URL: _read(SNS.certificate(days=1))}
    assert PROFILE.remote.judge(request, held, NOW, expired) == Refused(RefusalReason.SKEW)
    early = {CERTIFICATE_URL: _read(SNS.certificate(start=NOW + timedelta(seconds=1)))}
    assert PROFILE.remote.judge(request, held, NOW, early) == Refused(RefusalReason.SKEW)
    assert PROFILE.remote.judge(request, held, NOW, {}) == Refused(RefusalReason.UNKNOWN_KEY)


OTHERS_NAMES = {
    "another-service": {"also": "s3.us-east-1.amazonaws.com"},
    "another-region": {"also": "sns.eu-west-1.amazonaws.com"},
    "lookalike": {"also": "sns.amazonaws.com.attacker.test"},
    "inside-another": {"also": "evil.sns.amazonaws.com"},
    "everything": {"also": "*.amazonaws.com"},
    "china": {"also": "sns-us-east-1.amazonaws.com.cn"},
    "common-name-beside": {"made_out_to": "sns.amazonaws.com", "also": "evil.test"},
    "common-name-alone": {"made_out_to": "evil.test", "also": None},
}


@pytest.mark.attack("A38")
@pytest.mark.parametrize("names", OTHERS_NAMES.values(), ids=OTHERS_NAMES)
def test_a_certificate_that_is_made_out_to_another_signs_nothing(names: dict[str, Any]) -> None:
    assert PROFILE.remote is not None
    request, held = from_topic(SNS.message()), [secret(PROFILE, TOPIC)]
    others = {CERTIFICATE_URL: _read(SNS.certificate(**names))}
    assert PROFILE.remote.judge(request, held, NOW, others) == Refused(RefusalReason.UNTRUSTED)


@pytest.mark.parametrize(
    ("partition", "region", "name"),
    [
        ("aws", "us-east-1", "SNS.amazonaws.com"),
        ("aws", "eu-south-1", "sns-signing.eu-south-1.amazonaws.com"),
        ("aws-us-gov", "us-gov-east-1", "sns-us-gov-west-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "sns-cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_partition_of_amazon_has_its_own_names(partition: str, region: str, name: str) -> None:
    assert PROFILE.remote is not None
    topic = f"arn:{partition}:sns:{region}:123456789012:alarms"
    url = f"https://sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}/SimpleNotificationService-1.pem"
    body = SNS.message(TopicArn=topic, SigningCertURL=url)
    for raw in (SNS.certificate(also=name), SNS.certificate(made_out_to=name, also=None)):
        verdict = PROFILE.remote.judge(from_topic(body, topic), [secret(PROFILE, topic)], NOW, {url: _read(raw)})
        assert isinstance(verdict, Verified), (topic, verdict)


def _read(raw: bytes) -> KeySet:
    return read_document(Document.CERTIFICATE, raw)


@pytest.mark.attack("A37", "A38")
@given(changes=st.dictionaries(st.sampled_from(sorted(json.loads(SNS.message("SubscriptionConfirmation")))), ANY_JSON))
@QUICK
def test_any_message_is_judged(changes: dict[str, Any]) -> None:
    document = json.loads(SNS.message("SubscriptionConfirmation"))
    verdict = judge(json.dumps(document | changes, default=str).encode("utf-8", "surrogatepass"))
    assert isinstance(verdict, Refused) or document | changes == document


async def test_a_refused_message_is_told_to_its_tenant_with_its_size_and_nothing_else(target: Target) -> None:
    source = await target.source_of(profile="sns", secret=TOPIC)
    await target.refuses(b'{"Token":"not to be kept"}', [PLAIN, NAMED], source=source)
    [row] = await target.rows("select * from source_refusal_examples")
    assert (row["reason"], row["size_bytes"], row["claimed_id"]) == ("claim", 26, None)
    assert "not to be kept" not in repr(row)
    assert set(RefusalExample.__dataclass_fields__) <= set(row)
    async with tenant_session(target.database, target.tenant_id) as session:
        assert (await session.execute(text("select count(*) from deliveries"))).scalar_one() == 0
