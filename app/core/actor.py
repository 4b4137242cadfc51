"""Who did something: named in every audit row and timeline entry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ActorKind(StrEnum):
    """The kinds of actors; ``system`` acts by a rule whose name is the actor's id."""

    TOKEN = "token"  # noqa: S105 - a kind of actor, not a credential
    OPERATOR = "operator"
    SYSTEM = "system"
    SENDER = "sender"
    RUNBOOK = "runbook"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who, as kind and id, with the name that a person reads."""

    kind: ActorKind
    id: str
    name: str

    @classmethod
    def system(cls, part: str) -> Self:
        """This will return the actor for Tocsin's own rule or timer named ``part``."""
        return cls(kind=ActorKind.SYSTEM, id=part, name=f"Tocsin {part}")
