"""The operations API. Tenants and audit lie below ``auth`` in the layers, so what serves them to callers is here."""

from __future__ import annotations

from fastapi import APIRouter

from app.operations.endpoints import audit, jobs, limits, tenants

router = APIRouter()
for part in (jobs, tenants, limits, audit):
    router.include_router(part.router)
