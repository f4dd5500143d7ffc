import re
from html.parser import HTMLParser

from failback.models.rollback import DataLoss
from failback.reports.html import ReportExtras, render

from support import sample_results as sample


class _Page(HTMLParser):
    """Texts and references of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def read(document: str) -> _Page:
    page = _Page()
    page.feed(document)
    return page


def title(document: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", document)
    assert found is not None
    return found.group(1)


def test_render_a_success_then_the_verdict_and_its_figures_stand_first() -> None:
    page = read(render(sample.level_2()))
    assert "The service is back on the source, and nothing was lost" in page.texts
    for figure in ("5.86 s", "99.94%", "1.21 s", "87 ms", "1,877"):
        assert figure in page.texts


def test_render_any_result_then_nothing_is_loaded_from_elsewhere() -> None:
    for result in (sample.level_1(), sample.level_2(), sample.level_2_failed()):
        document = render(result)
        page = read(document)
        assert page.references == []
        assert not {"script", "link", "img", "iframe"} & set(page.tags)
        assert "url(" not in document
        assert "@import" not in document


def test_render_a_reason_with_markup_then_it_is_text() -> None:
    page = read(render(sample.level_2()))
    assert any("<b>bold</b>" in text for text in page.texts)


def test_render_every_step_then_children_follow_the_step_that_ran_them() -> None:
    document = render(sample.level_2())
    names = re.findall(r'<td class="name( child)?">([^<]+)</td>', document)
    assert [name for _, name in names] == [
        "catch up",
        "hold",
        "fence",
        "sync back",
        "verify integrity",
        "traffic rollback",
        "load balancer",
        "open source",
        "dns",
        "verify",
        "notify",
        "resume",
    ]
    assert len([child for child, _ in names if child]) == 5


def test_render_bars_then_each_lies_within_the_axis() -> None:
    for result in (sample.level_1(), sample.level_2(), sample.level_2_failed()):
        places = re.findall(
            r'<rect class="(?:good|warn|bad)" x="([\d.]+)" y="2" width="([\d.]+)"', render(result)
        )
        assert len(places) >= len(result.steps)
        for left, width in places:
            assert float(left) >= 0.0
            assert float(left) + float(width) <= 100.01


def test_render_a_failure_then_cause_action_and_next_commands_are_named() -> None:
    document = render(sample.level_2_failed())
    page = read(document)
    assert title(document) == "The plan failed, and customers were sent to the source without it"
    assert "IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC" in page.texts
    assert any("does not answer" in text for text in page.texts)
    assert any("accept-tail l2-20260314-024105-91af" in text for text in page.texts)


def test_render_a_failed_step_then_its_end_is_no_achieved_moment() -> None:
    moments = render(sample.level_2_failed()).partition("<h2>Moments")[2].partition("</ol>")[0]
    assert "target fenced" in moments
    assert "tail drained" not in moments


def test_render_differing_rows_then_the_table_and_the_broken_rule_are_marked() -> None:
    result = sample.level_2().model_copy(
        update={
            "verification": sample.verification(equal=False),
            "data_loss": DataLoss(lost_rows=3),
            "success": False,
        }
    )
    document = render(result)
    page = read(document)
    assert title(document) == "3 rows of the target are not on the source"
    assert "not the same" in document
    assert "keys 7041, 7042, 9133" in page.texts
    assert any("every document has an owner: 2 rows" in text for text in page.texts)


def test_render_a_tail_not_known_then_it_is_no_success_at_first_sight() -> None:
    result = sample.level_1().model_copy(
        update={"data_loss": DataLoss(lost_rows=None, tail="unknown", detail="nothing was armed")}
    )
    document = render(result)
    assert "whether everything was carried over is not known" in title(document)
    assert '<header class="warn">' in document


def test_render_with_a_journal_then_what_clients_saw_is_shown() -> None:
    extras = ReportExtras(
        acknowledged=18_342, lost=0, wrong=0, write_gap_seconds=1.34, requests_failed=0
    )
    page = read(render(sample.level_2(), extras))
    for text in ("What clients saw", "18,342", "1.34 s", "requests failed"):
        assert text in page.texts


def test_render_with_failures_by_side_then_the_broken_target_s_are_told_apart() -> None:
    extras = ReportExtras(
        requests=4_500,
        requests_failed=37,
        failed_by_side={"target": 35, "nobody": 2},
        requests_since_flip=1_200,
        failed_since_flip=0,
    )
    document = render(sample.level_2(), extras)
    texts = read(document).texts
    for label, number in (
        ("failed by the target", "35"),
        ("failed by the source", "0"),
        ("got no answer", "2"),
        ("failed since the flip", "0"),
    ):
        assert label in texts
        assert number in texts
    assert "of 1,200" in document
    assert "requests failed" not in texts


def test_render_with_a_journal_that_lost_writes_then_this_outweighs_the_result() -> None:
    document = render(sample.level_2(), ReportExtras(acknowledged=10, lost=2))
    assert title(document) == "2 acknowledged writes are missing on the source"
    assert '<header class="bad">' in document


def test_render_without_a_journal_then_no_such_section_is_there() -> None:
    assert "What clients saw" not in render(sample.level_2())


def test_render_a_rejected_rollback_then_it_says_that_nothing_began() -> None:
    rejected = sample.level_2().model_copy(
        update={"success": False, "steps": (), "children": (), "error": "rejected by jonas"}
    )
    document = render(rejected)
    assert title(document) == "The rollback did not begin; the target serves as before"
    assert "rejected by jonas" in document
