"""Why a request was refused, for whoever owns the source: the bytes that were signed and the shape of what was expected.

Never the expected signature: who can read that could sign.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from app.net.signing.checks import CompiledProfile
from app.net.signing.fields import parse_json
from app.net.signing.format import KeyValueFormat, Kind, ListFormat, PrefixFormat, TimestampSpec
from app.net.signing.plugins import sns, twilio
from app.net.signing.profile import SIGNING_KINDS, Profile
from app.net.signing.signed_check import compile_reader
from app.net.signing.verdicts import Refused, SignedRequest

SHOWN_BYTES: Final = 2000

_SIZES: Final = {"sha1": 20, "sha256": 32, "sha512": 64}
_TIMES: Final = {
    "unix_s": "<seconds since 1970>",
    "unix_ms": "<milliseconds since 1970>",
    "iso8601": "<time such as 2026-01-05T12:00:00Z>",
}


@dataclass(frozen=True, kw_only=True)
class SignedBytes:
    """What the signature covers, fit to be shown.

    Attributes:
        text: Printable ASCII as it is, everything else escaped; the beginning only.
    """

    text: str
    size_bytes: int
    sha256: str
    is_cut: bool


def signed_bytes(compiled: CompiledProfile, request: SignedRequest) -> SignedBytes | None:
    """This will return the bytes that this request's signature covers, None where none are signed or some are missing."""
    message = _message(compiled.profile, request)
    if message is None:
        return None
    return SignedBytes(
        text=_printable(message[:SHOWN_BYTES]),
        size_bytes=len(message),
        sha256=hashlib.sha256(message).hexdigest(),
        is_cut=len(message) > SHOWN_BYTES,
    )


def expected_shapes(compiled: CompiledProfile) -> list[str]:
    """This will return what a request must carry, each as ``name: shape``."""
    profile = compiled.profile
    if profile.kind in SIGNING_KINDS:
        return [*_signature_shape(profile), *_time_shape(profile.timestamp), *_id_shape(profile)]
    if profile.jwt is not None and profile.token is not None:
        return [
            f"{profile.token.header}: {profile.token.prefix}<JWT signed with {' or '.join(profile.jwt.algorithms)}>"
        ]
    if profile.token is not None:
        return [f"{profile.token.header}: {profile.token.prefix}<the source's secret>"]
    if profile.url_secret is not None:
        return [f"in the URL: ?{profile.url_secret.parameter}=<the source's secret>"]
    others = {
        Kind.BASIC: ["authorization: Basic <base64 of user:password>"],
        Kind.MTLS: ["the client's certificate, in the header that the trusted proxy sets"],
        Kind.NONE: [],
    }
    if profile.plugin == "sns":
        return ["x-amz-sns-topic-arn: <the topic's ARN>", "in the body: Signature, SignatureVersion and SigningCertURL"]
    return others.get(profile.kind, ["x-twilio-signature: <28 base64 characters>"])


def _message(profile: Profile, request: SignedRequest) -> bytes | None:
    if profile.kind in SIGNING_KINDS:
        claims = compile_reader(profile)(request)
        return None if isinstance(claims, Refused) else claims[0]
    if profile.plugin == "sns":
        document = parse_json(request.body)
        message = sns.read_message(document) if isinstance(document, dict) else None
        return None if message is None or isinstance(message, Refused) else message.signed
    if profile.plugin == "twilio" and request.origin:
        fields, spellings = twilio.signed_fields(request), twilio.urls(request)
        return None if isinstance(fields, Refused) or not spellings else spellings[0] + fields
    return None


def _printable(raw: bytes) -> str:
    return "".join(chr(code) if 0x20 <= code < 0x7F and code != 0x5C else f"\\x{code:02x}" for code in raw)


def _signature_shape(profile: Profile) -> list[str]:
    if profile.signature is None:
        return []
    size = 64 if profile.kind is Kind.ED25519 else _SIZES[profile.algorithm]
    length = 2 * size if profile.encoding == "hex" else 4 * -(-size // 3)
    digest = f"<{length} {'hexadecimal digits' if profile.encoding == 'hex' else profile.encoding + ' characters'}>"
    spec = profile.signature.format
    if isinstance(spec, PrefixFormat):
        digest = spec.prefix + digest
    elif isinstance(spec, ListFormat):
        digest = spec.version + spec.joiner + digest
    elif isinstance(spec, KeyValueFormat):
        stamp = f"{spec.timestamp_key}=<time>{spec.separator}" if spec.timestamp_key is not None else ""
        digest = f"{stamp}{spec.signature_key}={digest}"
    return [f"{profile.signature.header}: {digest}"]


def _time_shape(spec: TimestampSpec | None) -> list[str]:
    if spec is None or not spec.signed or spec.kv:
        return []
    place = spec.header if spec.header is not None else f"in the body at {spec.json_pointer}"
    return [f"{place}: {_TIMES[spec.format]}, at most {spec.past_s} s old and {spec.future_s} s early"]


def _id_shape(profile: Profile) -> list[str]:
    spec = profile.delivery_id
    is_needed = spec is not None and spec.header is not None and "{id}" in (profile.signed or "")
    return [f"{spec.header}: <id of the delivery>"] if spec is not None and is_needed else []
