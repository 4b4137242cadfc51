"""The profiles that come with Tocsin, read from ``profiles/*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import yaml

from app.core.errors import NotFound
from app.net.signing.checks import CompiledProfile
from app.net.signing.compiler import compile_profile
from app.net.signing.profile import InvalidProfile, parse_profile

# PyYAML's own parser takes ten times as long, unless it was built without libyaml.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ProfileNotFound(NotFound):
    """No profile has this slug."""

    code = "signing.profile_not_found"
    title = "There is no such signature profile"
    hint = "List the profiles to see which ones ship."


def load_profile(text: str) -> CompiledProfile:
    """This will read one profile from YAML, compile it and run its vectors.

    Raises:
        InvalidProfile: It is no YAML, breaks a rule of the format, or fails a vector.
    """
    try:
        data = yaml.load(text, Loader=_LOADER)  # noqa: S506 - either of them is the safe one
    except yaml.YAMLError as error:
        raise InvalidProfile(f"the profile is not YAML: {error}") from None
    return compile_profile(parse_profile(data))


@cache
def shipped_profiles() -> Mapping[str, CompiledProfile]:
    """This will return every shipped profile by slug, read once per process.

    Raises:
        InvalidProfile: One of them does not load; the process must not start with a weaker set.
    """
    loaded: dict[str, CompiledProfile] = {}
    for entry in sorted(files(__package__).joinpath("profiles").iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".yaml"):
            continue
        compiled = load_profile(entry.read_text(encoding="utf-8"))
        if entry.name != f"{compiled.slug}.yaml":
            raise InvalidProfile(f"{entry.name} holds the profile {compiled.slug!r}; the two names must agree")
        loaded[compiled.slug] = compiled
    return MappingProxyType(loaded)


def get_profile(slug: str) -> CompiledProfile:
    """This will return the shipped profile ``slug``.

    Raises:
        ProfileNotFound: There is none.
    """
    try:
        return shipped_profiles()[slug]
    except KeyError:
        raise ProfileNotFound(f"there is no signature profile {slug!r}") from None
