"""B06: keys that fall into one place of a table on purpose. Nobody can choose them, as the places are a secret of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.ingest.contract import ParseError, load_form, load_json, load_object

ROOT = Path(__file__).parents[2]
PLACES = 4096
# Keys that share the last bits of their hash in a process whose seed is known: what an attacker would have to compute.
SEARCH = f"print(*[n for n in range({PLACES} * 64) if hash('k%d' % n) % {PLACES} == 0])"
COUNT = f"import sys; print(len({{hash(key) % {PLACES} for key in sys.stdin.read().split()}}))"


def run(program: str, *, given: str = "", seed: str | None = None) -> str:
    """This will run a program in a new interpreter, as a process of ours starts unless a seed is given."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    if seed is not None:
        environment["PYTHONHASHSEED"] = seed
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


@cache
def chosen() -> list[str]:
    """Keys that collide under the seed 0."""
    return [f"k{number}" for number in run(SEARCH, seed="0").split()]


@pytest.mark.attack("B06")
def test_keys_that_collide_in_one_process_do_not_in_another() -> None:
    keys = " ".join(chosen())
    assert len(chosen()) > 40
    assert run(COUNT, given=keys, seed="0").strip() == "1", "the keys are no attack"
    assert int(run(COUNT, given=keys)) > len(chosen()) * 0.8


@pytest.mark.attack("B06")
def test_the_hash_of_texts_is_keyed_and_no_deployment_names_the_key() -> None:
    assert sys.hash_info.algorithm.startswith("siphash")
    assert sys.hash_info.seed_bits >= 128
    shipped = [
        ROOT / "Dockerfile",
        ROOT / "Makefile",
        *(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
    ]
    assert [path for path in shipped if b"PYTHONHASHSEED" in path.read_bytes()] == []


@pytest.mark.attack("B06")
@pytest.mark.parametrize("reader", [load_json, load_object])
def test_every_key_that_a_sender_chooses_is_a_text(reader: Any) -> None:
    """Numbers would be another matter: their hash is the number itself, in every process."""
    document = {
        "1": {str(n * (2**61 - 1)): n for n in range(2000)},
        "true": [{"null": 1, **dict.fromkeys(chosen(), 1)}],
    }
    found = list(keys_of(reader(orjson.dumps(document))))
    assert len(found) > 2000 + len(chosen())
    assert {type(key) for key in found} == {str}


@pytest.mark.attack("B06")
def test_a_form_has_few_keys_whatever_they_are() -> None:
    with pytest.raises(ParseError):
        load_form("&".join(f"k{number}=1" for number in range(201)).encode())


def keys_of(value: object) -> Iterator[object]:
    """Every key of every object of a document."""
    if isinstance(value, dict):
        yield from value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from keys_of(item)
