"""What a post-mortem says: scores, questions, plots, and the whole document."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from failback.models.post_mortem import Completion, PostMortemFacts
from failback.models.rollback import DataLoss
from failback.reports.findings import to_look_into
from failback.reports.plots import plots
from failback.reports.post_mortem import plain, render_html, render_markdown
from failback.reports.scoring import scored

from support import sample_post_mortem as sample
from support import sample_results as results

GOLDEN = Path(__file__).parent / "golden" / "post_mortem.md"


def verdicts(found: PostMortemFacts) -> dict[str, str]:
    return {one.name: one.verdict for one in scored(found)}


def titles(found: PostMortemFacts) -> str:
    return "\n".join(one.title for one in to_look_into(found))


def clean() -> PostMortemFacts:
    """A rollback that nobody has a question about."""
    result = results.level_1().model_copy(update={"service_availability": 1.0})
    told = [sample.delivery("ROLLBACK_SUCCEEDED", "chat", 0.4)]
    return sample.facts(result).model_copy(
        update={"deliveries": tuple(told), "unknown": (), "decisions": ()}
    )


def test_document_then_it_is_the_golden_one() -> None:
    document = re.sub(
        r"by failback \S+ at", "by failback VERSION at", render_markdown(sample.facts())
    )
    if os.environ.get("FAILBACK_WRITE_GOLDEN"):
        GOLDEN.write_text(document, encoding="utf-8")
    assert document == GOLDEN.read_text(encoding="utf-8")


def test_scores_when_messages_were_late_or_lost_then_missed_and_others_are_told_apart() -> None:
    found = verdicts(sample.facts())
    assert found["execution time, level 2"] == "met"
    assert found["stakeholders notified"] == "missed"
    assert found["status page updated"] == "met"
    assert found["customers told"] == "missed"
    assert found["post-mortem complete"] == "not measured"


def test_scores_when_nothing_was_measured_then_nothing_is_called_met() -> None:
    failed = results.level_2_failed().model_copy(update={"service_availability": None})
    found = verdicts(sample.facts(failed).model_copy(update={"deliveries": ()}))
    for name in ("data integrity", "sync accuracy", "data loss", "availability during it"):
        assert found[name] == "not measured"
    assert found["rollback succeeded"] == "missed"
    assert found["stakeholders notified"] == "not measured"


@pytest.mark.parametrize(("hours", "verdict"), [(23.9, "met"), (24.1, "missed")])
def test_scores_when_completed_then_against_24_hours(hours: float, verdict: str) -> None:
    ended = results.level_2().ended_at.timestamp() - results.BEGAN.timestamp()
    done = Completion(who="mira", at=results.at(ended + hours * 3600))
    found = sample.facts().model_copy(update={"completion": done})
    assert verdicts(found)["post-mortem complete"] == verdict


def test_scores_when_rows_differ_then_integrity_and_accuracy_are_missed() -> None:
    result = results.level_2().model_copy(
        update={
            "verification": results.verification(equal=False),
            "data_loss": DataLoss(lost_rows=3),
            "success": False,
        }
    )
    found = verdicts(sample.facts(result))
    assert {found["data integrity"], found["sync accuracy"], found["data loss"]} == {"missed"}


def test_findings_when_all_went_well_then_there_are_none() -> None:
    assert to_look_into(clean()) == []


def test_findings_then_each_fact_that_asks_for_it_is_a_question() -> None:
    found = titles(sample.facts())
    for text in (
        "sync back needed 2 attempts",
        "no evidence: auth_failure_critical",
        "Approve by mira did not count",
        "ROLLBACK_STARTED reached pager after 41.0 s",
        "ROLLBACK_SUCCEEDED did not reach customers",
        "the audit log does not answer",
    ):
        assert text in found
    failed = titles(sample.facts(results.level_2_failed()))
    for text in ("The rollback failed", "IMMEDIATE_TRAFFIC", "took 8.20 s of 5 s", "tail pending"):
        assert text in failed


def test_plots_then_the_metric_whose_rule_fired_is_first_and_gaps_are_gaps() -> None:
    errors, latency, missing = plots(sample.facts())
    assert (errors.metric, len(errors.paths), len(errors.lines)) == ("error_rate", 1, 2)
    assert (latency.metric, len(latency.paths)) == ("response_time_p95", 2)
    assert missing.error == "Prometheus does not answer"
    for plot in (errors, latency):
        places = [float(one) for one in re.findall(r"[\d.]+", "".join(plot.paths))]
        assert all(0 <= place <= 1000 for place in places)
        assert [mark.label for mark in plot.marks] == ["decided", "began", "restored"]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("failed", [False, True])
def test_page_then_nothing_is_loaded_and_markup_in_texts_is_text(failed: bool) -> None:
    found = sample.facts(results.level_2_failed() if failed else None)
    document = render_html(found)
    page = _Page()
    page.feed(document)
    assert page.references == []
    assert not {"script", "link", "img", "iframe", "b-old"} & set(page.tags)
    assert "url(" not in document
    assert any("<b>bold</b>" in text for text in page.texts)
    assert any("<b>for a minute</b>" in text for text in page.texts)
    assert page.tags.count("svg") >= 2


def test_markdown_when_texts_have_markup_then_it_is_escaped() -> None:
    assert plain("a|b\n*c* <b> [x](y) _z_ snake_case `d`") == (
        r"a\|b \*c\* \<b\> \[x\](y) \_z\_ snake_case \`d\`"
    )
    table = [
        line for line in render_markdown(sample.facts()).splitlines() if "for a minute" in line
    ]
    assert len(re.findall(r"(?<!\\)\|", table[0])) == 7
