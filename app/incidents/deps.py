"""What a request's query says about incidents and alerts, as filters."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from app.core.errors import Invalid
from app.http.moment import Moment
from app.incidents.schemas import AlertState, IncidentState, PlainText, Severity
from app.incidents.service import AlertFilter, IncidentFilter

_PAGE = {"cursor", "limit"}


class UnknownFilter(Invalid):
    """The query names a filter that this list does not have; guessing would answer another question."""

    code = "query.unknown_filter"
    title = "There is no such filter"
    hint = "The reference lists the filters of each list; everything else is refused."


def _refuse_unknown(request: Request, known: set[str]) -> None:
    unknown = sorted(set(request.query_params) - known - _PAGE)
    if unknown:
        names = ", ".join(sorted(known))
        raise UnknownFilter(f"Unknown: {unknown[0][:60]!r}. The filters here are {names}.")


def _incident_filter(
    request: Request,
    state: Annotated[list[IncidentState] | None, Query(max_length=10, description="One or several states.")] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=10, description="One or several severities.")] = None,
    source: Annotated[UUID | None, Query(description="Id of the source.")] = None,
    assignee: Annotated[PlainText | None, Query(max_length=200, description="Exact assignee.")] = None,
    q: Annotated[
        PlainText | None, Query(min_length=1, max_length=200, description="Text in the title, in any case.")
    ] = None,
    since: Annotated[Moment | None, Query(description="Opened at or after this time, with its offset.")] = None,
    until: Annotated[Moment | None, Query(description="Opened before this time, with its offset.")] = None,
) -> IncidentFilter:
    _refuse_unknown(request, {"state", "severity", "source", "assignee", "q", "since", "until"})
    return IncidentFilter(
        states=tuple(state or ()),
        severities=tuple(severity or ()),
        source_id=source,
        assignee=assignee,
        since=since,
        until=until,
        title_contains=q,
    )


def _alert_filter(
    request: Request,
    status: Annotated[list[AlertState] | None, Query(max_length=10, description="One or several statuses.")] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=10, description="One or several severities.")] = None,
    source: Annotated[UUID | None, Query(description="Id of the source.")] = None,
    incident: Annotated[UUID | None, Query(description="Id of the incident.")] = None,
    dedup_key: Annotated[PlainText | None, Query(max_length=255, description="Exact dedup key, as stored.")] = None,
) -> AlertFilter:
    _refuse_unknown(request, {"status", "severity", "source", "incident", "dedup_key"})
    return AlertFilter(
        statuses=tuple(status or ()),
        severities=tuple(severity or ()),
        source_id=source,
        incident_id=incident,
        dedup_key=dedup_key,
    )


def _no_filter(request: Request) -> None:
    _refuse_unknown(request, set())


IncidentFilters = Annotated[IncidentFilter, Depends(_incident_filter)]
AlertFilters = Annotated[AlertFilter, Depends(_alert_filter)]
NoFilters = Depends(_no_filter)
