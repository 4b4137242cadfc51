"""The chat completions API that most model servers speak. One bounded call, no tools, no streaming.

Source: OpenAI API reference, "Create chat completion", fields ``messages``, ``max_tokens``, ``temperature`` and
``response_format`` of type ``json_schema``; read 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import orjson

from app.enhancement.contract import ModelAnswer, ModelFailure
from app.enhancement.rules.evidence import estimate_tokens
from app.enhancement.rules.prompt import OUTPUT_SCHEMA, RedactedMessage
from app.net.outbound import EgressRefused, OutboundError, OutboundHttp, OutboundTimeout
from app.settings.enhancement import LlmSettings

_MAX_BYTES = 1_000_000


class OpenAiChat:
    """A client of one endpoint. It accepts redacted messages only."""

    slug: ClassVar[str] = "openai"

    def __init__(self, settings: LlmSettings, http: OutboundHttp) -> None:
        if settings.base_url is None:
            raise ValueError("no model endpoint is configured")
        self._settings = settings
        self._url = settings.base_url.rstrip("/") + "/chat/completions"
        self._http = http

    async def complete(self, messages: Sequence[RedactedMessage], *, model: str, timeout_s: float) -> ModelAnswer:
        """This will make one call; every way it can go wrong is a ModelFailure."""
        headers = {"accept": "application/json"}
        if key := self._settings.api_key.get_secret_value():
            headers["authorization"] = f"Bearer {key}"
        try:
            response = await self._http.request(
                "POST",
                self._url,
                headers=headers,
                json=self._body(messages, model),
                timeout_s=timeout_s,
                max_bytes=_MAX_BYTES,
                # The operator wrote this address; models often run on a private network.
                allow_private=True,
            )
        except EgressRefused as error:
            raise ModelFailure("egress_refused", str(error)) from error
        except OutboundTimeout as error:
            raise ModelFailure("timeout", "no answer in time") from error
        except OutboundError as error:
            raise ModelFailure("unreachable", "no connection, or an answer that is too large") from error
        if response.status != 200:
            raise ModelFailure("http_error", f"HTTP {response.status}")
        return _read(response.body, messages)

    def _body(self, messages: Sequence[RedactedMessage], model: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": self._settings.max_output_tokens,
            "temperature": 0,
            "stream": False,
        }
        if self._settings.structured_output:
            schema = {"name": "enhancement", "strict": True, "schema": OUTPUT_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def _read(raw: bytes, messages: Sequence[RedactedMessage]) -> ModelAnswer:
    try:
        body = orjson.loads(raw)
        text = body["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise ModelFailure("bad_response", "not a chat completion") from error
    if not isinstance(text, str):
        raise ModelFailure("bad_response", "no text in the completion")
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    return ModelAnswer(
        text=text,
        tokens_in=_count(usage.get("prompt_tokens"), sum(estimate_tokens(message.content) for message in messages)),
        tokens_out=_count(usage.get("completion_tokens"), estimate_tokens(text)),
    )


def _count(reported: object, estimate: int) -> int:
    return reported if isinstance(reported, int) and 0 <= reported < 10_000_000 else estimate
