"""Amazon SNS: a message in the body, signed with a certificate whose address is in the same body.

So the address is believed only where it is SNS's own, and fetched only for the topic that the source names; the
certificate must be valid now, and made out to SNS. Who issued it is not checked: the file holds no chain, so its intermediate
would have to be fetched over plain HTTP. What stands for it is the TLS of the host that it comes from.

A request to confirm a subscription is called by a job, after its signature holds, and only where it too is SNS's own.

Source: AWS, "Verifying the signatures of Amazon SNS messages" and "Parsing Amazon SNS message formats"; the names of the
certificates: AWS SDK for Java 2, sns-message-manager, read 2026-11.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.net.signing.checks import (
    CLAIM,
    MALFORMED,
    MISMATCH,
    MISSING,
    NO_SECRET,
    SKEW,
    UNKNOWN_KEY,
    UNTRUSTED,
    Held,
    Wanted,
    active,
    refuse,
)
from app.net.signing.conclusion import compile_conclusion
from app.net.signing.fields import compile_picker, parse_json
from app.net.signing.key_sets import Document
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

_HOST: Final = r"(https://sns\.[a-z]{2}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?)"
_CERTIFICATE_URL = re.compile(_HOST + r"/SimpleNotificationService-[A-Za-z0-9]{1,80}\.pem")
_CONFIRM_URL = re.compile(_HOST + r"/\?[A-Za-z0-9=&:%._~+-]{1,1500}")
_TOPIC_HEADER: Final = "x-amz-sns-topic-arn"
_HASHES: Final = {"1": hashes.SHA1, "2": hashes.SHA256}
_OF_A_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_OF_A_HANDSHAKE: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final = {
    "Notification": _OF_A_NOTIFICATION,
    "SubscriptionConfirmation": _OF_A_HANDSHAKE,
    "UnsubscribeConfirmation": _OF_A_HANDSHAKE,
}
_OPTIONAL: Final = frozenset({"Subject"})
# Both regions of GovCloud have the certificate of one.
_SIGNER_OF_PARTITION: Final = {"aws-us-gov": ("sns-us-gov-west-1",)}


class _Region(NamedTuple):
    """Where SNS is in a region, and to whom its certificate there may be made out."""

    home: str
    signers: frozenset[str]


class _Message(NamedTuple):
    """A message taken apart; nothing of it is believed but its shape and that its addresses are SNS's."""

    kind: str
    signed: bytes
    signature: bytes
    version: str
    certificate_url: str
    confirm_url: str | None
    signers: frozenset[str]


class SnsCheck:
    """Both steps of the verification."""

    def __init__(self, profile: Profile) -> None:
        # Before the body is parsed the header must name the topic: a stranger's megabyte is not worth it.
        self._pick = compile_picker((_TOPIC_HEADER,), profile.limits.max_header_bytes)
        self._conclude = compile_conclusion(profile)

    def check(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        """This will judge without the certificate at hand, so refuse."""
        return self.judge(request, secrets, now, {})

    def wants(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> tuple[Wanted, ...]:
        """This will name the certificate of a message for the source's topic."""
        found = self._read(request, active(secrets, now))
        return () if isinstance(found, Refused) else (Wanted(found[0].certificate_url, Document.CERTIFICATE, ""),)

    def judge(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime, held: Held) -> Verified | Refused:
        """This will say whether SNS has signed the message, for the source's topic."""
        found = self._read(request, active(secrets, now))
        if isinstance(found, Refused):
            return refuse(found, request)
        message, secret = found
        key = _key_of(message, held, now)
        if isinstance(key, Refused):
            return refuse(key, request)
        try:
            # SHA-1 is what SignatureVersion 1 says, which topics have unless somebody sets another.
            key.verify(message.signature, message.signed, PKCS1v15(), _HASHES[message.version]())
        except InvalidSignature:
            return refuse(MISMATCH, request)
        verdict = self._conclude((message.signed, [], None, None), request.body, secret.id, now)
        if isinstance(verdict, Refused):
            return refuse(verdict, request)
        return verdict._replace(confirm_url=message.confirm_url)

    def _read(self, request: SignedRequest, usable: Sequence[Secret]) -> tuple[_Message, Secret] | Refused:
        secret = self._secret_of(request, usable)
        if isinstance(secret, Refused):
            return secret
        document = parse_json(request.body)
        if not isinstance(document, dict):
            return MALFORMED
        if document.get("TopicArn") != secret.key.decode("latin-1"):
            return CLAIM
        message = read_message(document)
        return message if isinstance(message, Refused) else (message, secret)

    def _secret_of(self, request: SignedRequest, usable: Sequence[Secret]) -> Secret | Refused:
        """This will return the secret that names the header's topic."""
        if not usable:
            return NO_SECRET
        found = self._pick(request.headers)
        if found is None:
            return MALFORMED
        topic = found.get(_TOPIC_HEADER.encode())
        if topic is None:
            return MISSING
        return next((secret for secret in usable if secret.key == topic), CLAIM)


def _key_of(message: _Message, held: Held, now: datetime) -> RSAPublicKey | Refused:
    """This will return the certificate's key, if the certificate is SNS's and holds now."""
    found = held.get(message.certificate_url, {}).get("")
    if found is None or not isinstance(found.key, RSAPublicKey):
        return UNKNOWN_KEY
    if not found.is_valid_at(now):
        return SKEW
    return UNTRUSTED if found.names.isdisjoint(message.signers) else found.key


def read_message(document: dict[str, object]) -> _Message | Refused:
    """This will take a message apart, and refuse addresses that are not SNS's own."""
    kind, version, url = (document.get(name) for name in ("Type", "SignatureVersion", "SigningCertURL"))
    if not isinstance(kind, str) or kind not in _SIGNED or not isinstance(version, str) or version not in _HASHES:
        return MALFORMED
    if "Signature" not in document:
        return MISSING
    signature, signed = _decoded(document["Signature"]), signed_bytes(document, _SIGNED[kind])
    if signature is None or signed is None or not isinstance(url, str):
        return MALFORMED
    found, region = _CERTIFICATE_URL.fullmatch(url), _region_of(document.get("TopicArn"))
    # In the topic's own region, so that a stranger who knows the topic can have us look up no other name.
    if found is None or region is None or found[1] != region.home:
        return UNTRUSTED
    confirm = document.get("SubscribeURL") if kind == "SubscriptionConfirmation" else None
    if confirm is not None and not (is_confirm_url(confirm) and str(confirm).startswith(f"{region.home}/")):
        return UNTRUSTED
    return _Message(
        kind, signed, signature, version, url, str(confirm) if confirm is not None else None, region.signers
    )


def _region_of(topic: object) -> _Region | None:
    """This will return the topic's region."""
    parts = topic.split(":") if isinstance(topic, str) else []
    if len(parts) != 6:
        return None
    suffix = "amazonaws.com.cn" if parts[1] == "aws-cn" else "amazonaws.com"
    hosts = (
        "sns",
        f"sns.{parts[3]}",
        f"sns-{parts[3]}",
        f"sns-signing.{parts[3]}",
        *_SIGNER_OF_PARTITION.get(parts[1], ()),
    )
    return _Region(f"https://sns.{parts[3]}.{suffix}", frozenset(f"{host}.{suffix}" for host in hosts))


def is_confirm_url(url: object) -> bool:
    """This will say whether the address confirms a subscription at SNS itself: its host, https, and nothing hidden."""
    return isinstance(url, str) and _CONFIRM_URL.fullmatch(url) is not None and "Action=ConfirmSubscription" in url


def signed_bytes(document: dict[str, object], names: Sequence[str]) -> bytes | None:
    """This will return ``name\\nvalue\\n`` of the names in order, None where one is missing or no text."""
    parts: list[str] = []
    for name in names:
        value = document.get(name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, str):
            return None
        parts += [name, "\n", value, "\n"]
    return "".join(parts).encode("utf-8", "surrogatepass")


def _decoded(text: object) -> bytes | None:
    if not isinstance(text, str) or len(text) > 2000:
        return None
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
