"""``python -m workers.reference FOLDER``: the reference pages of settings, metrics, problem codes and API, from the code.

A test compares the committed pages with what this writes, so they cannot say anything else than the code does.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, SecretStr

import app
import workers
from app.api import create_api
from app.core.errors import TocsinError
from app.http.problem import FRAME_CODES, VALIDATION_CODE, status_of
from app.ingest.described import described
from app.ingest.sources import all_sources
from app.net.signing import Strength, get_profile, shipped_profiles
from app.observability.metrics import DECLARED
from app.settings import Settings
from app.wiring import build_resources

NOTE = "<!-- Made from the code by `make reference`; change the code. -->"
LEFT_OUT = ("app.embedded", "workers.reference")


def import_everything() -> None:
    """This will import every module of the application and the workers, so that all they declare is declared."""
    for package in (app, workers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(LEFT_OUT) and not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def settings_page() -> str:
    """This will describe every setting, section by section."""
    lines = ["# Settings", "", NOTE, "", "Environment variables, or lines of a file `.env` in the working directory."]
    lines += ["Lists and objects are JSON. `.env.example` has them all, ready to be edited.", ""]
    return "\n".join([*lines, *_section(Settings, "TOCSIN_")]) + "\n"


def _section(model: type[BaseModel], prefix: str) -> Iterator[str]:
    own = {n: f for n, f in model.model_fields.items() if not _is_section(f.annotation)}
    if own:
        yield from ("| Setting | Default | Meaning |", "|---|---|---|")
    for name, field in own.items():
        default = _cell(_shown(field.get_default(call_default_factory=True)))
        yield f"| `{prefix}{name.upper()}` | {f'`{default}`' if default else ''} | {_cell(field.description or '')} |"
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            yield from ("", f"## {name}", "", field.description or "", "")
            yield from _section(field.annotation, f"{prefix}{name.upper()}__")  # type: ignore[arg-type]


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def metrics_page() -> str:
    """This will describe every metric."""
    lines = [
        "# Metrics",
        "",
        NOTE,
        "",
        "Served at `/metrics` on a port of its own by api, relay and each worker process.",
    ]
    lines += ["Labels hold kinds, queues and outcomes only: never a tenant, an id or a sender's text.", ""]
    lines += ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for name, metric in sorted(DECLARED.items()):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{name}` | {metric.kind} | {labels} | {_cell(metric.description)} |")
    return "\n".join(lines) + "\n"


def problems_page() -> str:
    """This will describe every problem code."""
    lines = ["# Problem codes", "", NOTE, ""]
    lines += textwrap.wrap(
        "Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details. `code` is stable: programs may rely on"
        " it. `detail` says what was wrong this time, `hint` what to do.",
        120,
    )
    lines += ["", "| Code | Status | Title | What to do |", "|---|---|---|---|"]
    found = {kind.code: (status_of(kind), kind.title, kind.hint) for kind in _kinds(TocsinError)}
    found |= {
        VALIDATION_CODE: (422, "The request is not valid", "`errors` lists each field and what is wrong with it.")
    }
    for status, code in FRAME_CODES.items():
        found.setdefault(code, (status, "Refused before it reached a route", ""))
    for code, (status, title, hint) in sorted(found.items()):
        lines.append(f"| `{code}` | {status} | {_cell(title)} | {_cell(hint)} |")
    return "\n".join(lines) + "\n"


def _kinds(root: type[TocsinError]) -> Iterator[type[TocsinError]]:
    yield root
    for kind in root.__subclasses__():
        if kind.__module__.startswith(("app.", "workers.")):
            yield from _kinds(kind)


def api_page() -> str:
    """This will list every operation of the API; ``/openapi.json`` of a running one has the schemas."""
    api = create_api(build_resources(Settings(_env_file=None)), interactive=False)
    document = api.openapi()
    lines = [
        "# HTTP API",
        "",
        NOTE,
        "",
        "Schemas are in the OpenAPI document: `/docs` and `/openapi.json` in development.",
        "",
    ]
    lines += ["Lists answer `items` and `next_cursor`; give it back as `cursor`. Writes take an `Idempotency-Key`.", ""]
    under_v1 = [
        set(one["responses"]) for path, item in document["paths"].items() if path[:4] == "/v1/" for one in item.values()
    ]
    everywhere = set.intersection(*under_v1)
    lines += [
        f"Whatever is under `/v1` may also answer {', '.join(sorted(everywhere))}: [problem codes](problems.md).",
        "",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            also = everywhere if path.startswith("/v1/") else set()
            codes = ", ".join(sorted(set(operation["responses"]) - also))
            row = f"| `{method.upper()} {path}` | {_cell(operation.get('summary', ''))} | {codes} |"
            by_tag.setdefault((operation.get("tags") or ["other"])[0], []).append(row)
    for tag, rows in sorted(by_tag.items()):
        lines += [f"## {tag}", "", "| Operation | What it does | Answers |", "|---|---|---|", *sorted(rows), ""]
    return "\n".join(lines)


def sources_page() -> str:
    """This will describe every kind of source: what it sends, how it is verified, and where that is documented."""
    lines = ["# Kinds of sources", "", NOTE, ""]
    lines += textwrap.wrap(
        "What `tocsin sources add` and `POST /v1/sources` take as `kind`. The profile is what a new source gets unless it asks"
        " for another; [profiles](profiles.md) says what each proves. Each kind was written from the vendor's page that is"
        " named.",
        120,
    )
    lines += ["", "| Kind | Sender | Profile | Proves | Written from |", "|---|---|---|---|---|"]
    kinds = sorted(all_sources().values(), key=lambda kind: kind.slug)
    for kind in kinds:
        strength = get_profile(kind.profile).strength.value
        document = f"[{kind.document_date}]({kind.document})"
        lines.append(
            f"| [`{kind.slug}`](#{kind.slug}) | {_cell(kind.title)} | `{kind.profile}` | {strength} | {document} |"
        )
    for kind in kinds:
        lines += ["", f"## {kind.slug}", "", f"**{kind.title}.** {_prose(kind.setup)}"]
        meanings = described(kind.config_model)
        if any(meanings.values()):
            lines += ["", "| Setting | Meaning |", "|---|---|"]
            lines += [f"| `{name}` | {_cell(meaning)} |" for name, meaning in meanings.items() if meaning]
    return "\n".join(lines) + "\n"


def profiles_page() -> str:
    """This will describe every signature profile, strongest first, and the senders that can use it."""
    lines = ["# Signature profiles", "", NOTE, ""]
    lines += textwrap.wrap(
        "How a request proves who sent it. From the strongest to the weakest: "
        + ", ".join(f"`{strength.value}`" for strength in Strength)
        + ". A sender that can do several should use the first of them.",
        120,
    )
    order = {strength: place for place, strength in enumerate(Strength)}
    profiles = sorted(shipped_profiles().values(), key=lambda profile: (order[profile.strength], profile.slug))
    lines += ["", "| Profile | What it is | Proves | Described in |", "|---|---|---|---|"]
    for compiled in profiles:
        told = compiled.profile
        lines.append(
            f"| [`{told.slug}`](#{told.slug}) | {_cell(told.title)} | {compiled.strength.value} | {_cell(told.source)} |"
        )
    for compiled in profiles:
        lines += ["", f"## {compiled.slug}", ""]
        lines += [f"- **{sender.name}**: {_prose(sender.setup)}" for sender in compiled.profile.senders]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return _shown_whole(text.replace("|", "\\|").replace("\n", " "))


def _prose(text: str) -> str:
    """The text with the guides that it names as links."""
    return re.sub(r"docs/how-to/([\w-]+)\.md", r"[\1](../how-to/\1.md)", _shown_whole(text))


def _shown_whole(text: str) -> str:
    """What stands in angle brackets would be taken for HTML, and not be seen, outside of code."""
    parts = text.split("`")
    return "`".join(part if number % 2 else part.replace("<", "\\<") for number, part in enumerate(parts))


def pages() -> dict[str, str]:
    """This will return every page's text by its file name."""
    import_everything()
    return {
        "settings.md": settings_page(),
        "metrics.md": metrics_page(),
        "problems.md": problems_page(),
        "api.md": api_page(),
        "sources.md": sources_page(),
        "profiles.md": profiles_page(),
    }


def main(folder: str) -> None:
    """This will write the pages."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (target / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
