"""STARTTLS: offered with a certificate, insisted on where asked, and nothing said before it counts after it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import smtplib
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from app.settings.smtp import SmtpSettings
from app.smtp.certificate import Certificate
from tests.smtp.conftest import TIMEOUT_S, Mailbox, Wire, mail


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.tocsin.test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def require_starttls() -> bool:
    return True


@pytest.fixture
def smtp_settings(certificate: tuple[Path, Path], require_starttls: bool) -> dict[str, Any]:
    return {"certificate_file": certificate[0], "key_file": certificate[1], "require_starttls": require_starttls}


async def test_mail_comes_encrypted_and_says_so(mailbox: Mailbox, certificate: tuple[Path, Path]) -> None:
    def run() -> bool:
        context = ssl.create_default_context(cafile=str(certificate[0]))
        with smtplib.SMTP("127.0.0.1", mailbox.listener.port, timeout=TIMEOUT_S) as client:
            client.starttls(context=context)
            client.sendmail("a@example.com", [mailbox.address], mail().as_bytes())
            return client.has_extn("auth") or client.has_extn("starttls")

    offers_more = await asyncio.to_thread(run)
    assert not offers_more
    (stored,) = await mailbox.deliveries()
    assert stored.headers["x-smtp-tls"] == "1"


async def test_nothing_is_taken_in_the_open(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> list[str]:
        return [
            wire.say("EHLO test")[:3],
            wire.say("MAIL FROM:<a@example.com>"),
            wire.say(f"RCPT TO:<{mailbox.address}>"),
        ]

    hello, sender, recipient = await mailbox.speak(dialogue)
    assert hello == "250"
    assert sender.startswith("530")
    assert recipient.startswith("530")


async def test_commands_slipped_in_before_the_handshake_are_dropped(
    mailbox: Mailbox, certificate: tuple[Path, Path]
) -> None:
    """The flaw of many servers of 2011 (CVE-2011-0411), and of aiosmtpd before 1.4.6 (CVE-2024-34083)."""

    def dialogue(wire: Wire) -> bytes:
        wire.say("EHLO test")
        slipped = b"EHLO evil\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<%b>\r\n" % mailbox.address.encode()
        wire.send(b"STARTTLS\r\n" + slipped)
        assert wire.reply().startswith("220")
        context = ssl.create_default_context(cafile=str(certificate[0]))
        try:
            with context.wrap_socket(wire._socket, server_hostname="127.0.0.1") as secure:
                secure.sendall(b"EHLO test\r\nDATA\r\nQUIT\r\n")
                said = b""
                while part := secure.recv(4096):
                    said += part
                return said
        except (ssl.SSLError, OSError):
            return b""  # the slipped bytes broke the handshake: as good

    said = await mailbox.speak(dialogue)
    assert b"354" not in said
    assert await mailbox.deliveries() == []


@pytest.mark.parametrize("require_starttls", [False])
async def test_recipients_that_were_named_in_the_open_are_forgotten(
    mailbox: Mailbox, certificate: tuple[Path, Path]
) -> None:
    """Source: RFC 3207, section 4.2: what was said before the handshake was not."""

    def dialogue(wire: Wire) -> bytes:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<evil@example.com>")
        assert wire.say(f"RCPT TO:<{mailbox.address}>").startswith("250")
        assert wire.say("STARTTLS").startswith("220")
        context = ssl.create_default_context(cafile=str(certificate[0]))
        with context.wrap_socket(wire._socket, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"HELO test\r\nDATA\r\nQUIT\r\n")
            said = b""
            while part := secure.recv(4096):
                said += part
            return said

    assert b"354" not in await mailbox.speak(dialogue)


def test_a_renewed_certificate_is_read_and_a_broken_one_is_not(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path, original in zip(files, certificate, strict=True):
        path.write_bytes(original.read_bytes())
    found = Certificate(*files)
    first = found.context()
    assert found.context() is first
    os.utime(files[0], ns=(1, 1))
    renewed = found.context()
    assert renewed is not first
    files[0].write_text("not a certificate")
    assert found.context() is renewed


@pytest.mark.parametrize(
    "wrong", [{"certificate_file": "/x.pem"}, {"require_starttls": True}], ids=["no key", "no cert"]
)
def test_half_a_certificate_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"certificate"):
        SmtpSettings(**wrong)
