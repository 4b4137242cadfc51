"""Verifying who sent a request, by profiles that are data.

``get_profile("github")`` gives a compiled profile; ``verify(profile, request, secrets, now)`` judges a request
over its raw bytes; ``load_secret`` prepares what the key ring decrypted.
"""

from app.net.signing.checks import CompiledProfile
from app.net.signing.compiler import compile_profile, dummy_verify, verify
from app.net.signing.custom import CUSTOM_SLUG, custom_slug, load_custom, profile_of, slug_and_strength
from app.net.signing.format import Kind
from app.net.signing.keys import (
    InvalidSecret,
    SecretNotGenerated,
    generate_secret,
    load_secret,
    stored_form,
    validate_secret,
)
from app.net.signing.profile import InvalidProfile, Profile, parse_profile
from app.net.signing.shipped import ProfileNotFound, get_profile, load_profile, shipped_profiles
from app.net.signing.signer import secret_query, sign
from app.net.signing.verdicts import (
    RefusalReason,
    Refused,
    Secret,
    ShownCertificate,
    SignedRequest,
    Strength,
    Verified,
)

__all__ = [
    "CUSTOM_SLUG",
    "CompiledProfile",
    "InvalidProfile",
    "InvalidSecret",
    "Kind",
    "Profile",
    "ProfileNotFound",
    "RefusalReason",
    "Refused",
    "Secret",
    "SecretNotGenerated",
    "ShownCertificate",
    "SignedRequest",
    "Strength",
    "Verified",
    "compile_profile",
    "custom_slug",
    "dummy_verify",
    "generate_secret",
    "get_profile",
    "load_custom",
    "load_profile",
    "load_secret",
    "parse_profile",
    "profile_of",
    "secret_query",
    "shipped_profiles",
    "sign",
    "slug_and_strength",
    "stored_form",
    "validate_secret",
    "verify",
]
