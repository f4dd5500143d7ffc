"""What the report and the scores say of levels 3 and 4."""

from datetime import UTC, datetime

from failback.models.post_mortem import PostMortemFacts
from failback.reports.html import render
from failback.reports.scoring import MET, scored

from support import sample_recovery as sample


def test_render_level_3_then_every_check_and_what_stays_paused_is_shown() -> None:
    page = render(sample.level_3())

    assert "auth flow" in page
    assert "no baseline" in page
    assert "forward_sync" in page
    assert "failback pauses resume" in page


def test_render_level_4_then_damage_backups_services_and_gates_are_shown() -> None:
    page = render(sample.level_4())

    assert "refused &lt;i&gt;here&lt;/i&gt;" in page
    assert "20260314T020000Z-aa" in page
    assert "passed over" in page
    assert "part unreadable" in page
    assert "authentication" in page
    assert "1-activate" in page
    assert "those of 7.50 s at most" in page


def test_render_level_4_that_people_must_finish_then_its_runbook_is_in_it() -> None:
    page = render(sample.level_4_aborted())

    assert "People have to take over" in page
    assert "failback recovery status" in page


def test_score_level_4_then_the_loss_is_measured_in_seconds() -> None:
    now = datetime(2026, 3, 14, tzinfo=UTC)
    facts = PostMortemFacts(result=sample.level_4(), written_at=now, due_at=now)
    (loss,) = [one for one in scored(facts) if one.name == "data loss"]

    assert loss.verdict == MET
    assert loss.target == "900 s"
    assert "7.5" in loss.measured
