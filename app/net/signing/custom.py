"""Profiles that a tenant writes: the same format and the same proof by vectors, within bounds that keep them harmless.

Compiling one costs milliseconds, verifying with one what a shipped profile costs; neither may become a way to stop others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import orjson

from app.net.signing.checks import CompiledProfile
from app.net.signing.compiler import compile_profile
from app.net.signing.format import Kind
from app.net.signing.profile import InvalidProfile, Profile, parse_profile
from app.net.signing.shipped import get_profile, shipped_profiles
from app.net.signing.verdicts import Strength

CUSTOM_SLUG: Final = "custom"
"""What ``sources.profile`` says where the source has a profile of its own, with its strength: ``custom:signed``."""

MAX_DOCUMENT_BYTES: Final = 65_536
MAX_VECTORS: Final = 20
MAX_VECTOR_BODY_BYTES: Final = 8192
_MAX_DEPTH: Final = 10
_REMEMBERED: Final = 512


def profile_of(slug: str, document: object = None) -> CompiledProfile:
    """This will return a source's profile: the shipped one of this slug, or the document where the slug says custom.

    Raises:
        ProfileNotFound: There is no such slug.
        InvalidProfile: The document does not load.
    """
    if slug.partition(":")[0] != CUSTOM_SLUG:
        return get_profile(slug)
    return load_custom(orjson.loads(document) if isinstance(document, str | bytes) else document)


def custom_slug(profile: CompiledProfile) -> str:
    """This will return what ``sources.profile`` says of a source with this profile of its own."""
    return f"{CUSTOM_SLUG}:{profile.strength.value}"


def slug_and_strength(slug: str) -> tuple[str, Strength]:
    """This will take ``sources.profile`` apart, without the document behind it.

    Raises:
        ProfileNotFound: There is no such shipped profile.
    """
    name, _, strength = slug.partition(":")
    return (name, Strength(strength)) if name == CUSTOM_SLUG else (slug, get_profile(slug).strength)


def load_custom(document: object) -> CompiledProfile:
    """This will check a tenant's document, compile it and run its vectors.

    Raises:
        InvalidProfile: It breaks a rule or a bound of the format, or fails a vector.
    """
    if not isinstance(document, Mapping):
        raise InvalidProfile("a profile is an object")
    _check_depth(document, _MAX_DEPTH)
    try:
        text = orjson.dumps(dict(document), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError):
        raise InvalidProfile("a profile is plain JSON") from None
    if b"\\u0000" in text:
        raise InvalidProfile("a profile holds no NUL characters")
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InvalidProfile(f"a profile has at most {MAX_DOCUMENT_BYTES} bytes")
    return _compiled(text)


@lru_cache(maxsize=_REMEMBERED)
def _compiled(text: bytes) -> CompiledProfile:
    profile = parse_profile(orjson.loads(text))
    _check_bounds(profile)
    return compile_profile(profile)


def _check_depth(value: object, left: int) -> None:
    if left == 0:
        raise InvalidProfile("a profile is not that deep")
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for item in inner:
        _check_depth(item, left - 1)


def _check_bounds(profile: Profile) -> None:
    if profile.kind in (Kind.PLUGIN, Kind.NONE):
        raise InvalidProfile(f"kind {profile.kind.value} is for shipped profiles only")
    if profile.slug in shipped_profiles() or profile.slug == CUSTOM_SLUG:
        raise InvalidProfile(f"the slug {profile.slug!r} belongs to a shipped profile")
    if len(profile.vectors) > MAX_VECTORS:
        raise InvalidProfile(f"a profile has at most {MAX_VECTORS} vectors")
    for vector in profile.vectors:
        if len(vector.body_bytes) > MAX_VECTOR_BODY_BYTES:
            raise InvalidProfile(f"vector {vector.name!r}: a body has at most {MAX_VECTOR_BODY_BYTES} bytes")
    # Another cap than a shipped profile's would tell a stranger that this source exists (A29).
    caps = sorted({shipped.limits.max_body_bytes for shipped in shipped_profiles().values()})
    if profile.limits.max_body_bytes not in caps:
        raise InvalidProfile(f"limits.max_body_bytes is one of {', '.join(map(str, caps))}")
