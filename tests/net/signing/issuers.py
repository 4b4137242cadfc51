"""Who signs with a key pair: issuers of tokens and topics, made here with the cryptography library and not with ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from app.net.signing import CompiledProfile, SignedRequest, get_profile, load_custom
from app.net.signing.key_sets import Document, KeySet, read_document
from tests.net.signing.senders import BODY, NOW, accepted

TENANT = "0f6b1c1e-1111-4222-8333-444455556666"
APP_ID = "461e8683-5575-4561-ac7f-899cc907d62a"
PINS = f"audience=api://tocsin.example tenant={TENANT}"
KEYS_URL = f"https://login.microsoftonline.com/{TENANT}/discovery/keys"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
CERTIFICATE_URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CONFIRM_URL = f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb"


@cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    """One of a few keys that all tests of a process share: making one takes a tenth of a second."""
    return rsa.generate_private_key(65_537, 2048)


def text64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number64(value: int) -> str:
    return text64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass
class Issuer:
    """Publishes one RSA and one EC key and signs tokens with either."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key(1))
    curve: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def jwk(self, **changes: Any) -> dict[str, Any]:
        public = self.key.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "kid": "k1", "n": number64(public.n), "e": number64(public.e)} | changes

    def curve_jwk(self, **changes: Any) -> dict[str, Any]:
        public = self.curve.public_key().public_numbers()
        point = {"x": number64(public.x), "y": number64(public.y)}
        return {"kty": "EC", "crv": "P-256", "use": "sig", "kid": "c1", **point} | changes

    def jwks(self, *keys: dict[str, Any]) -> bytes:
        return json.dumps({"keys": list(keys or (self.jwk(), self.curve_jwk()))}).encode()

    def claims(self, now: datetime = NOW, **changes: Any) -> dict[str, Any]:
        """What Azure Monitor's token says; None takes a claim away."""
        at = int(now.timestamp())
        made = {
            "aud": "api://tocsin.example",
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": at - 60,
            "nbf": at - 60,
            "exp": at + 3600,
            "appid": APP_ID,
            "roles": ["ActionGroupsSecureWebhook"],
        } | changes
        return {name: value for name, value in made.items() if value is not None}

    def token(self, claims: dict[str, Any] | None = None, **header: Any) -> str:
        """A token signed with what its header says, as far as that signs at all."""
        head = {"typ": "JWT", "alg": "RS256", "kid": "k1"} | header
        head = {name: value for name, value in head.items() if value is not None}
        message = f"{text64(json.dumps(head).encode())}.{text64(json.dumps(claims or self.claims()).encode())}"
        return f"{message}.{text64(self._sign(message.encode(), head.get('alg')))}"

    def _sign(self, message: bytes, algorithm: object) -> bytes:
        if algorithm == "RS256":
            return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if algorithm == "ES256":
            r, s = decode_dss_signature(self.curve.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if algorithm == "HS256-DER":
            return hmac.digest(self.public(Encoding.DER), message, hashlib.sha256)
        return hmac.digest(self.public(Encoding.PEM), message, hashlib.sha256) if algorithm == "HS256" else b""

    def public(self, encoding: Encoding) -> bytes:
        return self.key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def held(self, *keys: dict[str, Any]) -> dict[str, KeySet]:
        return {KEYS_URL: read_document(Document.JWKS, self.jwks(*keys))}


def with_token(token: str | None, *more: tuple[str, str]) -> SignedRequest:
    pairs = ([("authorization", f"Bearer {token}")] if token is not None else []) + list(more)
    return SignedRequest("POST", "/in/abc", b"", [(n.encode(), v.encode("latin-1")) for n, v in pairs], BODY)


def on_either_key() -> CompiledProfile:
    """Azure Monitor's profile as a tenant would write it who takes ES256 too."""
    original = get_profile("azure_monitor").profile
    document = original.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    document |= {"slug": "either", "vectors": [accepted(get_profile("azure_monitor")), *original.vectors[3:8]]}
    document["vectors"] = [
        v.model_dump(mode="json", exclude_defaults=True, exclude_none=True) for v in document["vectors"]
    ]
    document["jwt"]["algorithms"] = ["RS256", "ES256"]
    return load_custom(document)


@dataclass
class Topic:
    """Signs messages as Amazon SNS does, and publishes its certificate."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key(1))

    def certificate(
        self,
        *,
        days: int = 36_500,
        start: datetime = datetime(2025, 1, 1, tzinfo=UTC),
        made_out_to: str = "sns.amazonaws.com",
        also: str | None = "sns.amazonaws.com",
    ) -> bytes:
        """Made out to a common name and, unless it is None, to an alternative name."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, made_out_to)])
        named = x509.SubjectAlternativeName([x509.DNSName(also)] if also is not None else [])
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
        )
        built = built.add_extension(named, critical=False) if also is not None else built
        return built.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def message(self, kind: str = "Notification", *, now: datetime = NOW, version: str = "2", **changes: Any) -> bytes:
        """A signed message; what is changed is changed before it is signed."""
        document: dict[str, Any] = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": '{"AlarmName":"disk","NewStateValue":"ALARM"}',
            "Timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
        }
        if kind != "Notification":
            document |= {"Token": "2336412f37fb", "SubscribeURL": CONFIRM_URL}
        document |= changes
        # Alphabetical, each name and value on a line: AWS, "Verifying the signatures of Amazon SNS messages".
        unsigned = {"SignatureVersion", "SigningCertURL", "Signature", "UnsubscribeURL"}
        lines = "".join(f"{name}\n{document[name]}\n" for name in sorted(document) if name not in unsigned)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(lines.encode(), padding.PKCS1v15(), algorithm)
        return json.dumps({**document, "Signature": base64.b64encode(signature).decode()}).encode()

    def held(self) -> dict[str, KeySet]:
        return {CERTIFICATE_URL: read_document(Document.CERTIFICATE, self.certificate())}


def from_topic(body: bytes, topic: str = TOPIC) -> SignedRequest:
    return SignedRequest("POST", "/in/abc", b"", [(b"x-amz-sns-topic-arn", topic.encode())], body)
