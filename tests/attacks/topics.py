"""A topic of Amazon SNS under attack: what its messages are bent to, and what the profile says of them."""

from __future__ import annotations

from collections.abc import Sequence

from app.net.signing import Refused, Verified, get_profile
from app.net.signing.key_sets import Document, KeySet, read_document
from tests.net.signing.issuers import CERTIFICATE_URL, TOPIC, Topic, from_topic
from tests.net.signing.senders import NOW, secret

SNS = Topic()
PROFILE = get_profile("sns")
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


def read(raw: bytes) -> KeySet:
    return read_document(Document.CERTIFICATE, raw)
