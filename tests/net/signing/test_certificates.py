"""Client certificates in the headers of proxies, and from whom they are believed."""

from __future__ import annotations

import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.proofs import CertificateHeader
from app.net.signing import RefusalReason, Refused, ShownCertificate, SignedRequest, get_profile, verify
from app.net.signing.certificates import Certificate, pem_to_der, read_header
from app.settings.ingest import IngestSettings
from tests.net.signing.senders import NOW, accepted, secret

PROFILE = get_profile("mtls")
PEM = accepted(PROFILE).certificate or ""
DER = load_pem_x509_certificate(PEM.encode()).public_bytes(Encoding.DER)
SPELLED = {
    "rfc-9440": b":" + base64.b64encode(DER) + b":",
    "nginx": quote(PEM, safe="").encode(),
    "nginx-safe": quote(PEM).encode(),
    "envoy": b'Hash=abc;Cert="' + quote(PEM, safe="").encode() + b'";Subject="CN=x"',
    "envoy-bare": b"Cert=" + quote(PEM, safe="").encode(),
}
PROXY = ("10.1.2.3", 4711)


@pytest.mark.parametrize("value", SPELLED.values(), ids=SPELLED)
def test_the_usual_spellings_are_read(value: bytes) -> None:
    assert read_header(value) == DER


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"::",
        b":!!!:",
        b"-----BEGIN CERTIFICATE-----",
        quote(PEM + PEM, safe="").encode(),
        SPELLED["envoy"] + b"," + SPELLED["envoy"],
        quote(PEM.replace("CERTIFICATE", "PRIVATE KEY"), safe="").encode(),
        b"x" * 20_000,
    ],
    ids=["empty", "nothing", "no-base64", "head-only", "two", "two-hops", "another-kind", "vast"],
)
def test_anything_else_is_no_certificate(value: bytes) -> None:
    assert read_header(value) is None


@given(st.binary(max_size=300) | st.sampled_from(sorted(SPELLED.values())).flatmap(lambda v: st.just(v[:-7] + v[:5])))
def test_any_header_is_read_or_not(value: bytes) -> None:
    der = read_header(value)
    if der is not None:
        with suppress(ValueError):
            assert Certificate(der).names


@given(at=st.integers(0, len(DER) - 1), flip=st.integers(1, 255))
def test_any_damaged_certificate_is_judged(at: int, flip: int) -> None:
    bent = DER[:at] + bytes([DER[at] ^ flip]) + DER[at + 1 :]
    request = SignedRequest("POST", "/in/abc", b"", [], b"{}", "", ShownCertificate(bent))
    pin = "sha256:" + "0" * 64
    assert isinstance(verify(PROFILE, request, [secret(PROFILE, pin)], NOW), Refused)


def test_what_is_no_pem_has_no_der() -> None:
    assert pem_to_der("nonsense\ud800") is None
    assert pem_to_der(PEM) == DER


def header(name: str = "X-Client-Cert", proxies: list[str] | None = None) -> CertificateHeader:
    return CertificateHeader(name, ["10.0.0.0/8", "fd00::/8"] if proxies is None else proxies)


GIVEN = [(b"x-client-cert", SPELLED["nginx"])]


def test_a_trusted_proxy_is_believed() -> None:
    assert header().shown(GIVEN, PROXY) == ShownCertificate(DER)
    assert header().shown(GIVEN, ["fd00::1", 1]) == ShownCertificate(DER)


@pytest.mark.parametrize(
    "client",
    [
        ("192.0.2.1", 1),
        ("11.1.2.3", 1),
        ("fe80::1", 1),
        None,
        (),
        ("", 1),
        ("testclient", 1),
        "10.1.2.3",
        ("10.1.2.3%1", 1),
    ],
)
def test_the_header_from_elsewhere_is_a_forgery(client: object) -> None:
    assert header().shown(GIVEN, client) == ShownCertificate(None, RefusalReason.UNTRUSTED)


def test_without_both_settings_nobody_is_believed() -> None:
    settings = IngestSettings()
    assert CertificateHeader(settings.client_cert_header, settings.client_cert_proxies).shown(GIVEN, PROXY) is None
    assert header(name="").shown(GIVEN, PROXY) is None
    assert header(proxies=[]).shown(GIVEN, PROXY) is None


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([], RefusalReason.MISSING),
        ([(b"x-client-cert", b"")], RefusalReason.MISSING),
        ([*GIVEN, *GIVEN], RefusalReason.MALFORMED),
        ([(b"x-client-cert", b"x" * 20_000)], RefusalReason.MALFORMED),
        ([(b"x-client-cert2", SPELLED["nginx"])], RefusalReason.MISSING),
    ],
)
def test_a_header_that_is_missing_or_doubled(headers: list[tuple[bytes, bytes]], fault: RefusalReason) -> None:
    assert header().shown(headers, PROXY) == ShownCertificate(None, fault)


def test_settings_take_networks_only() -> None:
    made = IngestSettings.model_validate({"client_cert_proxies": "10.0.0.0/8, fd00::/8"})
    assert made.client_cert_proxies == ["10.0.0.0/8", "fd00::/8"]
    for odd in ("everybody", "10.0.0.1/8", "*"):
        with pytest.raises(ValueError, match="no network"):
            IngestSettings.model_validate({"client_cert_proxies": odd})
    with pytest.raises(ValueError, match="client_cert_header"):
        IngestSettings.model_validate({"client_cert_header": "a: b"})
