"""Runbooks at random: every kind of step, every way between them that the format allows. Many are refused; that is fine."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from app.remediation.actions import catalogue
from app.remediation.rules.loader import LoadedRunbook, load_runbook
from app.remediation.rules.text import RunbookRefused

SECONDS = st.sampled_from([1, 7, 30, 120, 900, 7200])
CONDITIONS = st.sampled_from(
    ["s0.up", "not s0.up", "s0.status == 200", "s0.duration_ms > 5000", "incident.severity == 'P1'"]
)
LOOKS = st.sampled_from([(7, 20), (10, 30), (60, 150), (3600, 9000), (50, 30)])
RUN_TIMEOUTS = st.sampled_from([60, 300, 3600, 86_400])
CHECK: dict[str, Any] = {"do": "http.probe", "on": "service", "with": {"path": "/health"}}
ACT: dict[str, Any] = {"do": "http.request", "on": "service", "with": {"method": "POST", "path": "/restart"}}
LAST: dict[str, Any] = {"tell": "last", "escalate": {"policy": "default", "reason": "A person has to look."}}


def _s(seconds: int) -> str:
    return f"{seconds}s"


@st.composite
def _approval(draw: st.DrawFn, go: st.SearchStrategy[str]) -> dict[str, Any]:
    when = draw(st.none() | CONDITIONS)
    return (
        {"by": draw(st.sampled_from(["responder", "engineer", "admin"])), "expires": _s(draw(SECONDS))}
        | ({"when": when} if when else {})
        | draw(_way("else", go))
    )


def _way(field: str, go: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.just({}) | go.map(lambda to: {field: to})


@st.composite
def _wait(draw: st.DrawFn, key: str, go: st.SearchStrategy[str]) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"wait": key, "for": _s(draw(SECONDS))}
    every, timeout = draw(LOOKS)
    until = {"until": draw(CONDITIONS), "check": "s0", "every": _s(every), "timeout": _s(timeout)}
    return {"wait": key, **until, **draw(_way("on_timeout", go))}


@st.composite
def _decide(draw: st.DrawFn, key: str, go: st.SearchStrategy[str]) -> dict[str, Any]:
    branches = draw(st.lists(st.tuples(CONDITIONS, go), min_size=1, max_size=2))
    return {"decide": key, "first": [{"if": held, "go": to} for held, to in branches], "else": draw(go)}


@st.composite
def _step(draw: st.DrawFn, key: str, later: list[str]) -> dict[str, Any]:
    go = st.sampled_from([*later, "verify", "end_noop"])
    kind = draw(st.sampled_from(["check", "act", "act", "decide", "wait", "ask", "tell", "hand over", "use"]))
    match kind:
        case "decide":
            return draw(_decide(key, go))
        case "hand over":
            return {"tell": key, "escalate": {"policy": "default", "reason": "Seen ${s0.up}."}}
        case "use":
            return {"use": key, "runbook": "used"}
        case "check":
            step: dict[str, Any] = {"check": key, **CHECK, "timeout": "5s", **draw(_way("on_error", go))}
        case "act":
            approval = draw(st.none() | _approval(go))
            asked = {"approval": approval} if approval else {}
            step = {"act": key, **ACT, "timeout": "5s", **asked, **draw(_way("on_error", go))}
        case "wait":
            step = draw(_wait(key, go))
        case "ask":
            step = {"ask": key, "question": "Go on?", "expires": _s(draw(SECONDS)), **draw(_way("else", go))}
        case _:
            step = {"tell": key, "text": "Now at ${s0.up}."}
    return step | draw(_way("then", go))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A runbook's document: a check, up to five steps that lead forward or to an end, and a hand-over."""
    count = draw(st.integers(0, 5))
    names = [*(f"s{number}" for number in range(1, count + 1)), "last"]
    steps = [draw(_step(name, names[index + 1 :])) for index, name in enumerate(names[:-1])]
    every = draw(st.sampled_from([5, 10]))
    return {
        "runbook": "at-random",
        "version": 1,
        "about": "Drawn.",
        "targets": {"service": {"kind": "http"}},
        "limits": {"ceiling": "once", "per_hour": 60, "run_timeout": _s(draw(RUN_TIMEOUTS))},
        "steps": [{"check": "s0", **CHECK, "timeout": "5s"}, *steps, LAST],
        "recovered": {
            "after": _s(draw(st.sampled_from([0, 20]))),
            "every": _s(every),
            "for": _s(draw(st.sampled_from([20, 30]))),
            "need": draw(st.integers(1, 3)),
            "all": [{"check": "s0", "is": "s0.up"}],
        },
    }


def source_of(document: dict[str, Any]) -> str:
    """The document as text; JSON is YAML."""
    return json.dumps(document)


def load_or_none(document: dict[str, Any]) -> LoadedRunbook | None:
    """This will load the runbook, or return None where the loader refuses it."""
    try:
        return load_runbook(source_of(document), catalogue=catalogue(), library={"used": USED.document})
    except RunbookRefused:
        return None


USED = load_runbook(
    source_of(
        {
            "runbook": "used",
            "version": 1,
            "about": "What others go on with.",
            "targets": {"service": {"kind": "http"}},
            "limits": {"ceiling": "once", "per_hour": 60, "run_timeout": "1h"},
            "steps": [
                {"check": "s0", **CHECK, "timeout": "5s"},
                {"act": "s1", **ACT, "timeout": "5s", "then": "verify"},
            ],
            "recovered": {"every": "5s", "for": "20s", "need": 2, "all": [{"check": "s0", "is": "s0.up"}]},
        }
    ),
    catalogue=catalogue(),
    library={},
)
# Only what may run.
loadable = documents().map(lambda document: (document, load_or_none(document))).filter(lambda pair: pair[1] is not None)
