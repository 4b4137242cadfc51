"""Reading off the wire and reading addresses, by properties: whatever is sent, and however it is cut into packets."""

from __future__ import annotations

import asyncio
import string

from hypothesis import given
from hypothesis import strategies as st

from app.ingest.bodies import Arriving
from app.smtp.addresses import parse_path, read_claim
from app.smtp.reading import MailReader, TooMuch
from app.smtp.taking import without_secrets

PIECES = st.lists(
    st.one_of(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"\r\n.", b"\n.\n", b"x"]), st.binary(max_size=6)),
    max_size=40,
)
LIMIT_BYTES = 64


def stuffed(content: bytes) -> bytes:
    """As a sender writes a mail: a dot before each line that begins with one, and the end."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


async def read(packets: list[bytes], *, max_bytes: int = 10_000, limit: int = 1000) -> tuple[object, bytes]:
    reader = asyncio.StreamReader(limit=limit)
    arriving = Arriving(1_000_000)
    task = asyncio.ensure_future(MailReader(max_bytes=max_bytes, arriving=arriving).read(reader))
    for packet in packets:
        reader.feed_data(packet)
        await asyncio.sleep(0)
    reader.feed_eof()
    (found,) = await asyncio.gather(task, return_exceptions=True)
    assert arriving._held_bytes == 0
    return found, await reader.read()


@given(pieces=PIECES, sizes=st.lists(st.integers(1, 9), max_size=60))
async def test_a_mail_arrives_as_it_was_written_and_what_follows_stays(pieces: list[bytes], sizes: list[int]) -> None:
    content = b"".join(pieces) + b"\r\n"
    wire = stuffed(content) + b"QUIT\r\n"
    packets, at = [], 0
    for size in sizes:
        packets.append(wire[at : at + size])
        at += size
    found, rest = await read([*packets, wire[at:]])
    assert found == content
    assert rest == b"QUIT\r\n"


@given(pieces=PIECES, max_bytes=st.integers(1, 60))
async def test_nothing_over_the_limit_is_returned_and_the_dialogue_can_go_on(
    pieces: list[bytes], max_bytes: int
) -> None:
    content = b"".join(pieces) + b"\r\n"
    found, rest = await read([stuffed(content) + b"QUIT\r\n"], max_bytes=max_bytes, limit=LIMIT_BYTES)
    if isinstance(found, TooMuch):
        assert found.is_over
        long_line = any(len(line) + 2 > LIMIT_BYTES for line in stuffed(content).split(b"\r\n"))
        assert len(content) > max_bytes or long_line
    else:
        assert found == content
        assert len(content) <= max_bytes
    assert rest == b"QUIT\r\n"


@given(text=st.text(alphabet=string.printable + "é\u2028\udc80", max_size=60))
def test_any_path_is_read_or_refused(text: str) -> None:
    for argument in (text, f"<{text}>", f"<{text}@x.example> {text}"):
        found = parse_path(argument)
        if found is not None:
            address, _ = found
            assert not set(address) & set('<>" \r\n\t')
            read_claim(address)


@given(
    secret=st.text(alphabet=string.ascii_letters + string.digits + "-_.~", min_size=24, max_size=40),
    separator=st.sampled_from("+.-_="),
)
def test_an_address_is_read_as_it_was_written(secret: str, separator: str) -> None:
    claim = read_claim(f"{'a7' * 13}{separator}{secret}@any.example")
    assert claim is not None
    assert (claim.public_id, claim.secrets) == ("a7" * 13, (secret, secret.lower()))


@given(before=st.binary(max_size=30), after=st.binary(max_size=30))
def test_a_secret_is_taken_out_wherever_it_stands(before: bytes, after: bytes) -> None:
    secret = "Sk3" * 9
    content = before + secret.encode() + after + secret.lower().encode() + b"|" + secret.upper().encode()
    assert secret.lower().encode() not in without_secrets(content, [secret]).lower()
