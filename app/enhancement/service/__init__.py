"""The use cases of enhancement, for the API, the command line and the demo."""

from __future__ import annotations

from app.enhancement.service.cases import find_similar, forget_case, index_case
from app.enhancement.service.consequences import tell_enhancements
from app.enhancement.service.desks import change_desk, create_desk, delete_desk, get_desk, list_desks
from app.enhancement.service.enhancements import (
    find_enhancement_for_ticket,
    get_enhancement,
    list_enhancements,
    restart_enhancement,
)
from app.enhancement.service.feedback import give_feedback, list_feedback
from app.enhancement.service.feedback_stats import feedback_stats
from app.enhancement.service.knowledge import (
    create_knowledge_entry,
    delete_knowledge_entry,
    get_knowledge_entry,
    list_knowledge_entries,
    replace_knowledge_entry,
)
from app.enhancement.service.tickets import receive_ticket, record_ticket

__all__ = [
    "change_desk",
    "create_desk",
    "create_knowledge_entry",
    "delete_desk",
    "delete_knowledge_entry",
    "feedback_stats",
    "find_enhancement_for_ticket",
    "find_similar",
    "forget_case",
    "get_desk",
    "get_enhancement",
    "get_knowledge_entry",
    "give_feedback",
    "index_case",
    "list_desks",
    "list_enhancements",
    "list_feedback",
    "list_knowledge_entries",
    "receive_ticket",
    "record_ticket",
    "replace_knowledge_entry",
    "restart_enhancement",
    "tell_enhancements",
]
