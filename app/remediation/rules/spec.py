"""What an action promises, as data: the loader checks runbooks against it without running anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import BaseModel


class Risk(StrEnum):
    """How much an action can harm, in rising order.

    READ changes nothing. IDEMPOTENT sets an absolute value, a repeat changes nothing more. ONCE must not be repeated.
    DANGEROUS can lose data or service and needs a person's consent.
    """

    READ = "read"
    IDEMPOTENT = "idempotent"
    ONCE = "once"
    DANGEROUS = "dangerous"

    @property
    def rank(self) -> int:
        return list(Risk).index(self)


class Nothing(BaseModel, extra="forbid"):
    """No parameters, or no output."""


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """The facts about an action that a runbook is checked against.

    Attributes:
        slug: ``family.verb``; what ``do:`` names.
        target_kind: The kind of target it works on; None for actions on the incident itself.
        output_of: The output model where it depends on (literal) parameters.
        chosen_by: Parameters that select the output model and so must be literals.
        reserved: Only the engine may use it, after it has judged recovery.
    """

    slug: str
    about: str
    params: type[BaseModel]
    output: type[BaseModel]
    risk: Risk
    target_kind: str | None
    output_of: Callable[[Mapping[str, Any]], type[BaseModel]] | None = None
    chosen_by: tuple[str, ...] = ()
    reserved: bool = False

    def output_for(self, params: Mapping[str, Any]) -> type[BaseModel]:
        """This will return the model of what the action answers when called with these parameters."""
        return self.output if self.output_of is None else self.output_of(params)


Catalogue: TypeAlias = Mapping[str, ActionSpec]
