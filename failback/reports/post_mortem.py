"""A post-mortem as one HTML file and as Markdown that people go on writing in."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from importlib import metadata

from jinja2 import Environment, PackageLoader, StrictUndefined

from failback.models.post_mortem import PostMortemFacts
from failback.models.recovery import RecoveryResult
from failback.reports import facts
from failback.reports.facts import ReportExtras
from failback.reports.findings import to_look_into
from failback.reports.plots import plots
from failback.reports.scoring import scored

BEGIN = "<!-- failback: begin of what is written anew -->"
END = "<!-- failback: end of what is written anew -->"

_MARKED = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
_SPECIAL = re.compile(r"([\\`*{}\[\]<>|#]|(?<!\w)_|_(?!\w))")


def render_html(found: PostMortemFacts) -> str:
    """The whole document; every text in it is escaped, and nothing is loaded from elsewhere."""
    return _environment(escaped=True).get_template("post_mortem.html.j2").render(**_words(found))


def render_markdown(found: PostMortemFacts, before: str = "") -> str:
    """The Markdown document.

    Args:
        found: what is on record.
        before: the document as it is now; what people wrote outside the marks stays, word for
            word. Empty where there is none, or where somebody took the marks out: then people's
            text is kept below the new document.
    """
    own = _environment(escaped=False).get_template("post_mortem.md.j2")
    facts_part = f"{BEGIN}\n{own.render(**_words(found)).strip()}\n{END}"
    if not before.strip():
        people = _environment(escaped=False).get_template("post_mortem_people.md.j2")
        return f"{facts_part}\n\n{people.render().strip()}\n"
    if _MARKED.search(before):
        return _MARKED.sub(lambda _: facts_part, before, count=1)
    return f"{facts_part}\n\n{before}"


def _words(found: PostMortemFacts) -> dict[str, object]:
    result = found.result
    along = facts.axis(result)
    return {
        "found": found,
        "result": result,
        "verdict": facts.verdict(result, ReportExtras()),
        "level_name": facts.LEVEL_NAMES[result.level],
        "criteria": scored(found),
        "findings": to_look_into(found),
        "plots": plots(found),
        "axis": along,
        "bars": facts.bars(result, along),
        "moments": timeline(found),
        "version": metadata.version("failback"),
    }


def timeline(found: PostMortemFacts) -> list[tuple[object, str]]:
    """Alerts, decisions, approvals, moments of the rollback and deliveries in one order."""
    moments = list(facts.moments(found.result))
    moments += [(one.received_at, f"alert {one.name} {one.status}".strip()) for one in found.alerts]
    moments += [
        (one.at, f"decided {one.decision}: {one.action or one.why}") for one in found.decisions
    ]
    moments += [
        (one.delivered_at, f"told {one.channel}: {one.kind.replace('_', ' ').lower()}")
        for one in found.deliveries
        if one.delivered_at is not None
    ]
    if found.completion is not None:
        moments.append((found.completion.at, f"post-mortem completed by {found.completion.who}"))
    if found.result.recovery is not None:
        moments += _recovered(found.result.recovery)
    return [(at, text) for at, text in sorted(moments, key=lambda one: one[0])]


def _recovered(recovery: RecoveryResult) -> Iterator[tuple[datetime, str]]:
    """What people answered at gates, and when services were back."""
    for gate in recovery.gates:
        if gate.answer is not None and gate.answered_at is not None:
            verb = gate.answer.verb.value.replace("_", " ")
            yield gate.answered_at, f"gate {gate.gate}: {verb} by {gate.answer.who}"
    for one in recovery.services:
        name = one.service.value.replace("_", " ")
        yield one.enabled_at, f"{name} enabled"
        if one.stable_at is not None:
            yield one.stable_at, f"{name} stable"


def plain(text: object) -> str:
    """A text in which Markdown finds no markup, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def verbatim(text: object) -> str:
    """A text as it is, as a code block: no line of it is markup, nor one of our marks."""
    return "\n".join(f"    {line}" for line in str(text).replace("<!--", "<! --").splitlines())


@lru_cache(maxsize=2)
def _environment(*, escaped: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("failback.reports"),
        autoescape=escaped,  # noqa: S701 - off for Markdown alone, where `plain` escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": facts.clock,
        "seconds": facts.seconds,
        "plain": plain,
        "verbatim": verbatim,
    }
    return environment
