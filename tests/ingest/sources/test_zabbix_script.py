"""The media type's script that docs/how-to/connect-zabbix.md has people paste, run in the engine that Zabbix runs it in: Duktape.

Zabbix's own functions stand in as its page "Additional JavaScript objects" describes them: ``atob`` gives bytes, ``hmac`` and
``btoa`` take texts (as UTF-8) or bytes, ``hmac`` and ``sha256`` give hexadecimal digits, a header is one text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import dukpy  # type: ignore[import-untyped]
import orjson
import pytest

from app.incidents.schemas import AlertStatus, Severity
from app.ingest.sources import get_source
from app.net.signing import Refused, SignedRequest, Verified, get_profile, load_secret, verify
from app.net.signing.keys import stored_form
from tests.contracts.test_sources import FOLDER
from tests.ingest.sources.test_pasted_bodies import HOW_TO, block, parsed

PAGE = "connect-zabbix.md"
# Bytes that are no text in any encoding, and a zero among them.
SECRET = "whsec_" + base64.b64encode(bytes(range(128, 159)) + b"\x00").decode()
ADDRESS = "https://tocsin.example/in/abc"

ZABBIX = """
function raw(given) {
  if (typeof given === 'string') return {text: encodeURIComponent(given)};
  var list = [];
  for (var i = 0; i < given.length; i++) list.push(given[i]);
  return {bytes: list};
}
function atob(text) { return new Uint8Array(call_python('from_base64', text)); }
function btoa(given) { return call_python('to_base64', raw(given)); }
function sha256(given) { return call_python('sha256', raw(given)); }
function hmac(type, key, given) { return call_python('hmac', type, raw(key), raw(given)); }
var sent = null;
function HttpRequest() {
  var headers = [], status = null;
  this.addHeader = function (line) {
    if (arguments.length !== 1) throw new TypeError('one text');
    headers.push(line);
  };
  this.post = function (url, body) {
    sent = {url: url, headers: headers, body: encodeURIComponent(body)};
    status = dukpy.status;
    return 'the answer';
  };
  this.getStatus = function () { return status; };
}
"""


def raw(given: dict[str, Any]) -> bytes:
    return bytes(given["bytes"]) if "bytes" in given else unquote_to_bytes(given["text"])


def mac(kind: str, key: dict[str, Any], given: dict[str, Any]) -> str:
    assert kind in ("md5", "sha256"), "what Zabbix knows"
    return hmac.new(raw(key), raw(given), kind).hexdigest()


def run(parameters: dict[str, str], *, status: int = 202) -> dict[str, Any]:
    """What the script sends, for the parameters with their macros filled in."""
    interpreter = dukpy.JSInterpreter()
    interpreter.export_function("from_base64", lambda text: list(base64.b64decode(text, validate=True)))
    interpreter.export_function("to_base64", lambda given: base64.b64encode(raw(given)).decode())
    interpreter.export_function("sha256", lambda given: hashlib.sha256(raw(given)).hexdigest())
    interpreter.export_function("hmac", mac)
    # Zabbix too makes the body of a function of it.
    script = f"var answer = (function (value) {{{block(PAGE, 'javascript')}\n}})(dukpy.value);"
    value = orjson.dumps({"tocsin_url": ADDRESS, "tocsin_secret": SECRET, "HTTPProxy": "", **parameters}).decode()
    ran: dict[str, Any] = interpreter.evaljs(
        [ZABBIX, script, ";({sent: sent, answer: answer})"], value=value, status=status
    )
    assert ran["answer"] == "the answer"
    return {**ran["sent"], "body": unquote_to_bytes(ran["sent"]["body"])}


def headers_of(sent: dict[str, Any]) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in sent["headers"])


def judged(headers: dict[str, str], body: bytes) -> Verified | Refused:
    """What the intake route makes of it, at the time that the script says it is."""
    profile = get_profile("standard_webhooks")
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    secret = load_secret(profile, stored_form(profile, SECRET), secret_id="1")
    now = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    return verify(profile, SignedRequest("POST", "/in/abc", b"", lines, body), [secret], now)


def sample(name: str) -> dict[str, str]:
    found = orjson.loads((FOLDER / "zabbix" / "samples" / f"{name}.json").read_bytes())
    return dict(found["body"] if "sample" in found else found)


@pytest.mark.parametrize(
    ("name", "status"), [("problem", AlertStatus.FIRING), ("recovery", AlertStatus.RESOLVED), ("media_type_test", None)]
)
def test_the_script_signs_what_is_understood(name: str, status: AlertStatus | None) -> None:
    sent = run(sample(name))
    headers = headers_of(sent)
    assert (sent["url"], headers["Content-Type"]) == (ADDRESS, "application/json")
    assert isinstance(judged(headers, sent["body"]), Verified)
    assert isinstance(judged(headers, sent["body"] + b" "), Refused)
    for kept_back in (SECRET[6:], ADDRESS, "HTTPProxy"):
        assert kept_back.encode() not in sent["body"]
    source = get_source("zabbix")
    assert [event.status for event in source.parse(sent["body"], {}, source.config_model())] == (
        [status] if status else []
    )


def test_text_beyond_ascii_is_signed_as_it_is_sent() -> None:
    sent = run({**sample("problem"), "event_name": "Stra\u00dfe \u00e9t\u00e9 \U0001f6a8"})
    assert isinstance(judged(headers_of(sent), sent["body"]), Verified)
    event = parsed("zabbix", sent["body"])
    assert "Stra\u00dfe \u00e9t\u00e9 \U0001f6a8" in event.title
    assert get_source("zabbix").severities[event.raw_severity] in set(Severity)


def test_a_repeated_attempt_is_the_same_delivery_and_an_update_another() -> None:
    first, again = run(sample("problem")), run(sample("problem"))
    other = run({**sample("problem"), "update_message": "looking"})
    assert headers_of(first)["webhook-id"] == headers_of(again)["webhook-id"] != headers_of(other)["webhook-id"]


def test_the_parameters_of_the_page_are_those_that_are_read() -> None:
    named = set(re.findall(r"^   \| `(\w+)` \|", (HOW_TO / PAGE).read_text(), re.MULTILINE))
    read = set(sample("problem")) | set(sample("severity_changed"))
    assert named == read | {"tocsin_url", "tocsin_secret"}


@pytest.mark.parametrize("status", [199, 301, 401, 503])
def test_a_refusal_fails_the_attempt_so_that_zabbix_repeats_it(status: int) -> None:
    with pytest.raises(dukpy.JSRuntimeError, match=f"Tocsin answered {status}: the answer"):
        run(sample("problem"), status=status)
