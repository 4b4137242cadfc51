"""A37, A38: what claims to be a message of Amazon SNS, and wants us to call somewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.jobs import PermanentJobError
from app.db.tenancy import tenant_session
from app.ingest.confirmations import ConfirmationFailed, ConfirmSubscription, confirm_subscription
from app.ingest.schemas import RefusalExample
from app.net.outbound import OutboundResponse
from app.net.signing import RefusalReason, Refused, Verified
from app.net.signing.plugins.sns import is_confirm_url
from tests.attacks.target import Target
from tests.attacks.test_fuzzing import JSON as ANY_JSON
from tests.attacks.test_fuzzing import QUICK
from tests.attacks.topics import EVIL_URLS, NAMED, PLAIN, PROFILE, SNS, judge
from tests.net.signing.issuers import CERTIFICATE_URL, CONFIRM_URL, TOPIC, Topic, from_topic, rsa_key
from tests.net.signing.senders import NOW, secret

OTHER_TOPIC = TOPIC.replace("alarms", "others")


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
