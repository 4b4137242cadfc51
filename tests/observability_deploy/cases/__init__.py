"""Every alert's unit test, one module per family of rules."""

from __future__ import annotations

from tests.observability_deploy.cases import machines, mail, objectives, product, service, storms, work

CASES = [*service.CASES, *work.CASES, *objectives.CASES, *product.CASES, *machines.CASES, *storms.CASES, *mail.CASES]
