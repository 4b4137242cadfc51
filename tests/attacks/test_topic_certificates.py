"""A38: certificates that are said to be Amazon SNS's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.net.outbound import OutboundError
from app.net.signing import RefusalReason, Refused, Verified
from app.net.signing.checks import Wanted
from app.net.signing.key_sets import MAX_DOCUMENT_BYTES, Document
from app.net.signing.remote_keys import KeysUnavailable, RemoteKeys, fetch_with
from tests.attacks.topics import EVIL_URLS, PROFILE, SNS, judge, read
from tests.net.callers import outbound
from tests.net.peers import certificate, peer, reply
from tests.net.signing.issuers import CERTIFICATE_URL, TOPIC, Topic, from_topic, rsa_key
from tests.net.signing.senders import NOW, secret


@pytest.mark.attack("A38")
@pytest.mark.parametrize("url", EVIL_URLS.values(), ids=EVIL_URLS)
def test_a_certificate_from_elsewhere_is_not_even_wanted(url: str) -> None:
    assert PROFILE.remote is not None
    body = SNS.message(SigningCertURL=url)
    assert PROFILE.remote.wants(from_topic(body), [secret(PROFILE, TOPIC)], NOW) == ()
    assert judge(body) == Refused(RefusalReason.UNTRUSTED)


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
    expired = {CERTIFICATE_URL: read(SNS.certificate(days=1))}
    assert PROFILE.remote.judge(request, held, NOW, expired) == Refused(RefusalReason.SKEW)
    early = {CERTIFICATE_URL: read(SNS.certificate(start=NOW + timedelta(seconds=1)))}
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
    others = {CERTIFICATE_URL: read(SNS.certificate(**names))}
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
        verdict = PROFILE.remote.judge(from_topic(body, topic), [secret(PROFILE, topic)], NOW, {url: read(raw)})
        assert isinstance(verdict, Verified), (topic, verdict)
