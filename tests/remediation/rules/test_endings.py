"""Whatever a loadable runbook meets on its way, it comes to an end: proof, nothing to do, or a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.remediation.rules.document import ActStep, CheckStep, Document, UseStep
from app.remediation.rules.graph import ESCALATED, HANDED_ON, TERMINAL, Edge, edges_of, facts_of
from app.remediation.rules.loader import LoadedRunbook
from tests.remediation.random_runbooks import load_or_none, loadable, source_of

QUICK = settings(max_examples=40)
Loadable = tuple[dict[str, Any], LoadedRunbook]


def walk(document: Document, data: st.DataObject) -> list[tuple[str, Edge]]:
    """One way through the runbook, every turn of it drawn: what each step leads to in a world that does as it likes."""
    edges, at, way = edges_of(document), document.steps[0].key, list[tuple[str, Edge]]()
    while at not in TERMINAL:
        assert len(way) <= len(document.steps), f"no end on {[key for key, _ in way]}"
        edge = data.draw(st.sampled_from(edges[at]))
        way.append((at, edge))
        at = edge.to
    return way


@QUICK
@given(drawn=loadable, data=st.data())
def test_every_way_ends_in_proof_or_with_a_person(drawn: Loadable, data: st.DataObject) -> None:
    document = drawn[1].document
    steps = {step.key: step for step in document.steps}
    way = walk(document, data)
    end = way[-1][1].to
    assert end in {"verify", "end_noop", ESCALATED, HANDED_ON}
    if end == "end_noop":
        assert not any(isinstance(steps[key], ActStep) for key, _ in way), "something was changed and nobody looks"


@QUICK
@given(drawn=loadable, data=st.data())
def test_nothing_is_changed_unseen_and_no_output_is_used_unmade(drawn: Loadable, data: st.DataObject) -> None:
    document = drawn[1].document
    steps, facts = {step.key: step for step in document.steps}, facts_of(document, edges_of(document))
    done, looked = set[str](), set[str]()
    for key, edge in walk(document, data):
        step = steps[key]
        assert facts[key].ran <= done
        assert facts[key].checked <= looked
        if isinstance(step, ActStep) and step.on is not None:
            assert step.on in looked, "an act on what nobody has looked at"
        if edge.worked:
            done.add(key)
            looked |= {step.on} if isinstance(step, CheckStep) and step.on is not None else set()


@QUICK
@given(drawn=loadable, data=st.data())
def test_a_way_that_may_outlast_the_run_is_warned_of(drawn: Loadable, data: st.DataObject) -> None:
    loaded = drawn[1]
    document = loaded.document
    steps = {step.key: step for step in document.steps}
    way = walk(document, data)
    if any(isinstance(steps[key], UseStep) for key, _ in way):
        return
    spent = document.recovered.after + document.recovered.duration
    for key, _ in way:
        step = steps[key]
        lengths = [getattr(step, name, None) for name in ("timeout", "duration", "expires")]
        lengths.append(step.approval.expires if isinstance(step, ActStep) and step.approval else None)
        spent += sum((length for length in lengths if length is not None), timedelta(0))
    if spent > document.limits.run_timeout:
        assert any("longest way" in warning.message for warning in loaded.warnings)


@QUICK
@given(drawn=loadable)
def test_what_was_loaded_loads_again_to_the_same_digest(drawn: Loadable) -> None:
    document, loaded = drawn
    again = load_or_none(document)
    assert again is not None
    assert again.digest == loaded.digest
    stored = load_or_none(loaded.canonical())
    assert stored is not None, source_of(loaded.canonical())
    assert stored.digest == loaded.digest
