"""The profile format: a profile is text that somebody writes, and a bent one must not become a weaker check."""

from __future__ import annotations

import copy
from importlib.resources import files

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.net import signing
from app.net.signing import InvalidProfile, load_profile
from tests.attacks.test_fuzzing import JSON, QUICK

TEMPLATES = {
    entry.name: yaml.safe_load(entry.read_text())
    for entry in files(signing).joinpath("profiles").iterdir()
    if entry.name.endswith(".yaml")
}


@pytest.mark.attack("A27", "A35")
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_bent_profile_does_not_load_or_still_proves_itself(data: st.DataObject) -> None:
    """A profile is text that somebody writes: whatever is bent in it, it loads with its vectors or not at all."""
    document = copy.deepcopy(TEMPLATES[data.draw(st.sampled_from(sorted(TEMPLATES)))])
    key = data.draw(st.sampled_from(sorted(document)))
    how = data.draw(st.sampled_from(["drop", "odd", "inner", "extra"]))
    if how == "drop":
        document.pop(key)
    elif how == "inner" and isinstance(document[key], dict) and document[key]:
        inner = data.draw(st.sampled_from(sorted(document[key])))
        document[key][inner] = data.draw(JSON)
    elif how == "extra":
        document[data.draw(st.text(max_size=10))] = data.draw(JSON)
    else:
        document[key] = data.draw(JSON)
    try:
        loaded = load_profile(yaml.safe_dump(document))
    except InvalidProfile:
        return
    vectors = loaded.profile.vectors
    assert any(vector.expect == "accept" for vector in vectors)
    assert sum(vector.expect != "accept" for vector in vectors) >= 3


@pytest.mark.attack("A35")
@given(text=st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
@QUICK
def test_any_text_is_a_profile_or_refused(text: str) -> None:
    with pytest.raises(InvalidProfile):
        load_profile(text)
