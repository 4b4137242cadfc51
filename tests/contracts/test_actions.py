"""Every runbook action keeps the contract: it says what it takes, gives and can harm, and it comes back in time.

The actions are found where the loader finds them. A new one fails here until ``SAMPLES`` says how it is called.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from app.net.outbound import OutboundHttp
from app.remediation.actions import actions, catalogue
from app.remediation.contract import (
    Action,
    ActionTarget,
    Escalation,
    InternalAction,
    NotApplied,
    Note,
    Pause,
    ReadAction,
    ReadFailed,
    Repeat,
    Resolution,
    Unreachable,
    WriteAction,
)
from app.remediation.rules.connections import TARGET_KINDS
from app.remediation.rules.loader import load_runbook
from app.remediation.rules.spec import Risk
from app.remediation.rules.text import RunbookRefused
from tests.fixtures.secrets import test_security
from tests.fixtures.wait import HANGS_S, ends
from tests.remediation.targets import FORBIDDEN_ADDRESS, silent_server, target_of, to_read, to_write

# How each action is called; several where its parameters change what it promises.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "http.probe": [{"path": "/health"}],
    "http.request": [{"path": "/x", "repeat": repeat} for repeat in ("once", "keyed", "idempotent")],
    "postgres.query": [{"query": "connections_by_state"}, {"query": "long_queries", "rows": 5}],
    "redis.info": [{}, {"queue": "celery"}],
    "note": [{"text": "seen"}],
    "escalate": [{"reason": "a person has to look"}],
    "resolve": [{"reason": "proven"}],
    "wait": [{"seconds": 5}],
}
DOES_NOT_EXIST = {"no such parameter": 1}
TIMEOUT_S = 0.4
CONNECTIONS: dict[str, Any] = {
    "http": lambda host, port: {"base_url": f"http://{host}:{port}"},
    "postgres": lambda host, port: {"host": host, "port": port, "user": "u"},
    "redis": lambda host, port: {"host": host, "port": port},
}
REMOTE = [slug for slug, action in actions().items() if not isinstance(action, InternalAction)]
INTERNAL = [slug for slug in actions() if slug not in REMOTE]
RUNBOOK = """
runbook: x
version: 1
about: Uses what is reserved.
targets: {{service: {{kind: http}}}}
limits: {{ceiling: dangerous, run_timeout: 5m}}
steps:
  - act: reserved
    do: {slug}
    timeout: 5s
    then: verify
recovered: {{every: 1s, for: 30s, all: [{{alert: X, is: resolved}}]}}
"""


@pytest.fixture
async def http() -> AsyncIterator[OutboundHttp]:
    outbound = OutboundHttp(test_security())
    yield outbound
    await outbound.aclose()


def module_of(action: Action) -> Any:
    made_by = action.decide if isinstance(action, InternalAction) else action.run
    return sys.modules[made_by.__module__]


def parsed(action: Action) -> list[BaseModel]:
    return [action.spec.params.model_validate(sample) for sample in SAMPLES[action.spec.slug]]


def reachable_at(kind: str, host: str, port: int) -> ActionTarget:
    return target_of(kind, secret="a secret", **CONNECTIONS[kind](host, port))


def test_each_action_has_a_sample_and_each_kind_a_connection() -> None:
    assert set(SAMPLES) == set(actions()) == set(catalogue())
    assert set(CONNECTIONS) == set(TARGET_KINDS)


@pytest.mark.parametrize("slug", list(actions()))
def test_an_action_says_what_it_is(slug: str) -> None:
    action = actions()[slug]
    spec = action.spec
    assert spec.slug == slug
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)?", slug)
    assert module_of(action).__name__ == f"app.remediation.actions.{slug.replace('.', '_')}"
    assert re.fullmatch(r"[A-Z].{10,200}\.", spec.about)
    assert (inspect.getdoc(module_of(action)) or "").startswith(f"``{slug}``")


@pytest.mark.parametrize("slug", list(actions()))
def test_its_parameters_and_answers_have_schemas(slug: str) -> None:
    spec = actions()[slug].spec
    models = [spec.params, spec.output, *(spec.output_for(sample) for sample in SAMPLES[slug])]
    for model in models:
        schema = model.model_json_schema()
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert spec.params.model_json_schema()["additionalProperties"] is False
    for sample in SAMPLES[slug]:
        assert isinstance(spec.params.model_validate(sample), spec.params)
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            spec.params.model_validate(sample | DOES_NOT_EXIST)


@pytest.mark.parametrize("slug", list(actions()))
def test_a_parameter_that_chooses_the_answer_is_named(slug: str) -> None:
    spec = actions()[slug].spec
    assert (spec.output_of is not None) == (spec.chosen_by != ())
    assert set(spec.chosen_by) <= set(spec.params.model_fields)


@pytest.mark.parametrize("slug", list(actions()))
def test_it_declares_what_it_can_harm(slug: str) -> None:
    action = actions()[slug]
    if isinstance(action, InternalAction):
        assert action.spec.target_kind is None
        return
    assert action.spec.target_kind in TARGET_KINDS
    assert (action.spec.risk is Risk.READ) == isinstance(action, ReadAction)
    if isinstance(action, WriteAction):
        repeats = {action.repeat(params) for params in parsed(action)}
        assert repeats <= set(Repeat)
        # What may never be repeated under any parameters has to say so in its risk.
        assert action.spec.risk.rank >= (Risk.ONCE if Repeat.AT_MOST_ONCE in repeats else Risk.IDEMPOTENT).rank


@pytest.mark.parametrize("slug", [slug for slug in REMOTE if isinstance(actions()[slug], WriteAction)])
def test_a_dry_run_of_a_write_is_a_sentence_without_the_secret(slug: str) -> None:
    action = actions()[slug]
    assert isinstance(action, WriteAction)
    for params in parsed(action):
        text = action.dry_run(reachable_at(str(action.spec.target_kind), "127.0.0.1", 9), params)
        assert re.match(r"would \w+ .+", text)
        assert "a secret" not in text


@pytest.mark.parametrize("slug", list(actions()))
def test_it_knows_no_table_and_opens_no_transaction(slug: str) -> None:
    tree = ast.parse(inspect.getsource(module_of(actions()[slug])))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    forbidden = ("sqlalchemy", "httpx", "app.db", "app.net", "app.remediation.models", "app.remediation.service")
    assert [name for name in imported if name.startswith(forbidden)] == []


@pytest.mark.parametrize("slug", INTERNAL)
def test_an_internal_action_decides_and_does_nothing_itself(slug: str) -> None:
    action = actions()[slug]
    assert isinstance(action, InternalAction)
    assert not inspect.iscoroutinefunction(action.decide)
    for params in parsed(action):
        assert isinstance(action.decide(params), Note | Escalation | Resolution | Pause)


@pytest.mark.parametrize("slug", [slug for slug, spec in catalogue().items() if spec.reserved])
def test_a_reserved_action_is_not_for_steps(slug: str) -> None:
    with pytest.raises(RunbookRefused, match="is not for steps"):
        load_runbook(RUNBOOK.format(slug=slug), catalogue=catalogue(), library={})


async def call(
    action: Action, target: ActionTarget, http: OutboundHttp, params: BaseModel, *, timeout_s: float = TIMEOUT_S
) -> str:
    """Call the action and say how it ended."""
    try:
        if isinstance(action, WriteAction):
            await action.run(to_write(target, http, timeout_s=timeout_s), params)
            return "done"
        assert isinstance(action, ReadAction)
        answer = await action.run(to_read(target, http, timeout_s=timeout_s), params)
        return "up" if getattr(answer, "up", True) else "down"
    except ReadFailed:
        return "no answer"
    except NotApplied:
        return "not applied"
    except Unreachable as unreachable:
        return "unclear" if unreachable.sent else "not sent"


@pytest.mark.parametrize("slug", REMOTE)
async def test_it_comes_back_in_time_from_a_target_that_says_nothing(slug: str, http: OutboundHttp) -> None:
    action = actions()[slug]
    async with silent_server() as port:
        target = reachable_at(str(action.spec.target_kind), "127.0.0.1", port)
        for params in parsed(action):
            async with ends():
                ended = await call(action, target, http, params)
            # Silence after a write was sent is never taken for "nothing was done", and never for health.
            assert ended == "unclear" if isinstance(action, WriteAction) else ended in {"down", "no answer"}


@pytest.mark.parametrize("slug", REMOTE)
async def test_it_does_not_reach_an_address_that_the_guard_forbids(slug: str, http: OutboundHttp) -> None:
    action = actions()[slug]
    target = reachable_at(str(action.spec.target_kind), FORBIDDEN_ADDRESS, 80)
    for params in parsed(action):
        async with ends():  # refused, not timed out
            ended = await call(action, target, http, params, timeout_s=10 * HANGS_S)
        assert ended in {"down", "no answer", "not applied"}


@pytest.mark.parametrize("slug", REMOTE)
async def test_it_refuses_a_target_of_another_kind(slug: str, http: OutboundHttp) -> None:
    action = actions()[slug]
    other = next(kind for kind in sorted(TARGET_KINDS) if kind != action.spec.target_kind)
    ended = await call(action, reachable_at(other, "127.0.0.1", 9), http, parsed(action)[0])
    assert ended == ("not applied" if isinstance(action, WriteAction) else "no answer")
