"""Every sender of the survey has a profile that names it, says what to do there, and reaches what that sender can prove."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.ingest.verification import service
from app.net.signing import CompiledProfile, InvalidProfile, Kind, Strength, load_custom, shipped_profiles

# The survey's 33 rows in its order: the sender's name, and the strongest proof that it can give.
SENDERS = {
    "Standard Webhooks": Strength.SIGNED_FRESH,
    "Svix": Strength.SIGNED_FRESH,
    "GitHub": Strength.SIGNED,
    "GitLab (secret token)": Strength.TOKEN,
    "GitLab (signing token)": Strength.SIGNED_FRESH,
    "Slack": Strength.SIGNED_FRESH,
    "Stripe": Strength.SIGNED_FRESH,
    "PagerDuty": Strength.SIGNED,
    "Grafana Alerting": Strength.SIGNED_FRESH,
    "Grafana OnCall": Strength.TOKEN,
    "Sentry": Strength.SIGNED,
    "Datadog": Strength.TOKEN,
    "Opsgenie": Strength.TOKEN,
    "Zendesk": Strength.SIGNED_FRESH,
    "Linear": Strength.SIGNED_FRESH,
    "Shopify": Strength.SIGNED,
    "Twilio": Strength.SIGNED,
    "Jira": Strength.SIGNED,
    "ServiceNow": Strength.SIGNED_FRESH,
    "ManageEngine ServiceDesk Plus": Strength.TOKEN,
    "New Relic": Strength.TOKEN,
    "AWS SNS": Strength.SIGNED_FRESH,
    "Azure Monitor": Strength.MTLS_JWT,
    "Google Cloud Monitoring": Strength.MTLS_JWT,
    "Alertmanager": Strength.MTLS_JWT,
    "Pingdom": Strength.URL_SECRET,
    "UptimeRobot": Strength.TOKEN,
    "Statuspage": Strength.URL_SECRET,
    "Kibana": Strength.MTLS_JWT,
    "Splunk": Strength.URL_SECRET,
    "Zabbix": Strength.SIGNED_FRESH,
    "OneUptime": Strength.SIGNED,
    "Nagios": Strength.SIGNED_FRESH,
}
# Shipped sources beyond the survey whose sender has a proof of its own.
BEYOND = {"Cloudflare": Strength.TOKEN}
PROFILES = sorted(shipped_profiles())


def test_the_survey_has_33_rows() -> None:
    assert len(SENDERS) == 33


@pytest.mark.parametrize(("name", "strength"), [*SENDERS.items(), *BEYOND.items()], ids=[*SENDERS, *BEYOND])
def test_a_sender_is_found_by_its_name_with_the_strongest_proof_first(name: str, strength: Strength) -> None:
    found = service.list_profiles(sender=name)
    assert found, "no profile names it"
    assert (found[0].strength, found[0].rank) == (strength.value, strength.rank)
    for profile in found:
        setups = [sender.setup for sender in profile.senders if name.lower() in sender.name.lower()]
        assert all(setup.endswith(".") and len(setup) > 30 for setup in setups), "what to do is not said"


@pytest.mark.parametrize("slug", PROFILES)
def test_a_profile_says_where_it_is_specified_what_it_holds_and_what_it_expects(slug: str) -> None:
    compiled = shipped_profiles()[slug]
    [shown] = [profile for profile in service.list_profiles() if profile.slug == slug]
    assert shown.specification
    assert shown.secret
    assert shown.expects or compiled.kind is Kind.NONE
    assert shown.senders or compiled.kind is Kind.NONE


def document_of(compiled: CompiledProfile) -> dict[str, Any]:
    return copy.deepcopy(service.show_profile(compiled.slug).document) | {"slug": "mine"}


@pytest.mark.parametrize("slug", PROFILES)
def test_a_shipped_document_is_a_start_for_ones_own(slug: str) -> None:
    compiled = shipped_profiles()[slug]
    if compiled.kind in (Kind.PLUGIN, Kind.NONE):
        with pytest.raises(InvalidProfile, match="shipped profiles only"):
            load_custom(document_of(compiled))
        return
    mine = load_custom(document_of(compiled))
    assert (mine.strength, mine.kind) == (compiled.strength, compiled.kind)
