"""What stands in a secret's place where there is none to share: the name of whom a source believes.

A JWT profile's pins are written ``audience=api://tocsin tenant=0000...``, a certificate's ``sha256:<hex>``, ``dns:<name>``,
``uri:<uri>``, ``email:<address>`` or ``subject:<RFC 4514 name>``, a topic's as its ARN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from app.net.signing.format import Kind
from app.net.signing.profile import Profile

MAX_PIN_CHARS: Final = 1024
TOPIC = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:[a-z0-9-]{1,40}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_PAIR = re.compile(r"([a-z][a-z0-9_]{0,30})=([!-~]{1,300})")
_IN_A_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_PATH_PIN = re.compile(r"\{pin:([a-z][a-z0-9_]{0,30})\}")
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
_CERTIFICATE_NAME = re.compile(r"(?:dns|uri|email|subject):[ -~]{1,500}")


class InvalidPin(ValueError):
    """It names nobody in the way that the profile needs."""


def read_pins(profile: Profile, text: str) -> Mapping[str, str]:
    """This will return a JWT profile's pins; empty for the other kinds, whose pin is one name.

    Raises:
        InvalidPin: It is not what the profile needs.
    """
    if len(text) > MAX_PIN_CHARS:
        raise InvalidPin(f"it has more than {MAX_PIN_CHARS} characters")
    if profile.kind is Kind.MTLS:
        if _FINGERPRINT.fullmatch(text) is None and _CERTIFICATE_NAME.fullmatch(text) is None:
            raise InvalidPin("write sha256:<64 hex digits>, dns:<name>, uri:<uri>, email:<address> or subject:<name>")
        return {}
    if profile.kind is not Kind.JWT or profile.jwt is None:
        if TOPIC.fullmatch(text) is None:
            raise InvalidPin("write the topic's ARN: arn:aws:sns:<region>:<account>:<topic>")
        return {}
    found = [_PAIR.fullmatch(part) for part in text.split(" ")]
    pins = {pair[1]: pair[2] for pair in found if pair is not None}
    if len(pins) != len(found) or pins.keys() != profile.jwt.pins:
        raise InvalidPin("write " + " ".join(f"{name}=<value>" for name in sorted(profile.jwt.pins)))
    for name in _PATH_PIN.findall(profile.jwt.jwks_url):
        if _IN_A_PATH.fullmatch(pins[name]) is None:
            raise InvalidPin(f"{name} stands in an address: letters, digits and . _ - only")
    return pins


def describe_pin(profile: Profile) -> str:
    """This will say how the source's pin is written."""
    if profile.jwt is not None:
        return " ".join(f"{name}=<value>" for name in sorted(profile.jwt.pins))
    if profile.kind is Kind.MTLS:
        return "sha256:<fingerprint>, dns:<name>, uri:<uri>, email:<address> or subject:<name>"
    return "the topic's ARN"
