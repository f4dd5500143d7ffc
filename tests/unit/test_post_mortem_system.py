"""What a post-mortem says of levels 3 and 4: validation, damage, backup, gates, services, loss."""

from typing import Any

import pytest

from failback.models.common import Outcome
from failback.models.post_mortem import PostMortemFacts
from failback.models.recovery import ArchiveState
from failback.models.rollback import RollbackResult
from failback.models.system import Item
from failback.reports.findings import to_look_into
from failback.reports.post_mortem import BEGIN, END, render_html, render_markdown, timeline

from support import sample_post_mortem
from support import sample_recovery as sample


def facts(result: RollbackResult) -> PostMortemFacts:
    return sample_post_mortem.facts(result)


def changed(**changes: Any) -> RollbackResult:
    """A level 4 whose recovery went another way."""
    recovery = sample.recovery().model_copy(update=changes)
    return sample.level_4().model_copy(update={"recovery": recovery})


def chapter(document: str, title: str) -> str:
    """What stands under one heading."""
    assert f"\n## {title}\n" in document
    return document.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_document_of_level_2_then_it_has_nothing_of_levels_3_and_4() -> None:
    document = render_markdown(sample_post_mortem.facts())
    for title in ("The whole product", "What was damaged", "Gates", "Services", "Runbook"):
        assert f"## {title}" not in document


def test_document_of_level_3_then_every_check_and_what_stays_paused_is_in_it() -> None:
    document = render_markdown(facts(sample.level_3()))
    checks = chapter(document, "The whole product, looked at on the source")
    assert "| auth flow | succeeded | 41 ms |  |" in checks
    assert "| performance | inconclusive | – | no baseline |" in checks
    assert "**Still paused**, until somebody decides: forward_sync" in checks


def test_document_of_level_4_then_damage_backup_loss_services_and_gates_are_in_it() -> None:
    document = render_markdown(facts(sample.level_4()))
    damage = chapter(document, "What was damaged, and what it was restored from")
    assert r"| database | gone | connection: failed, refused \<i\>here\</i\> |" in damage
    assert "backup: `20260314T020000Z-aa`, taken 2026-03-14 02:01:07 UTC, proven" in damage
    assert "passed over: `20260314T023000Z-bb` part unreadable" in damage
    assert "240 segments with 9,000 keys beyond the backup" in damage
    assert "database: succeeded, app_rb4 on standby:5432, 120,000 rows in 31.0 s\n\n" in damage
    assert "**Acknowledged writes lost:** those of 7.50 s at most." in damage
    services = chapter(document, "Services, in the order of their return")
    assert "| authentication | succeeded | 02:41:10.218 | 02:41:11.218 | 100 % | 1 |" in services
    gates = chapter(document, "Gates")
    assert "| 1-activate | 02:41:08.218 | 02:41:09.218 | mira | go on | seen |" in gates


def test_table_rows_then_each_has_as_many_cells_as_its_head() -> None:
    evil = Item(name="a|b", outcome=Outcome.FAILED, detail="x | y\nz")
    document = render_markdown(facts(changed(left=(evil,))))
    width = 0
    for line in document.splitlines():
        cells = line.replace("\\|", "").count("|")
        if not line.startswith("|"):
            width = 0
            continue
        assert cells == (width or cells), line
        width = cells


@pytest.mark.parametrize(("loss", "said"), [(None, "not known"), (0.0, "none")])
def test_document_when_nothing_was_lost_or_nobody_knows_then_it_says_which(
    loss: float | None, said: str
) -> None:
    document = render_markdown(facts(changed(loss_seconds=loss)))
    assert f"**Acknowledged writes lost:** {said}." in document


def test_document_when_there_is_no_archive_and_no_backup_then_it_says_why() -> None:
    assessment = sample.assessment().model_copy(
        update={
            "archive": ArchiveState(detail="no change archive is configured"),
            "choice": sample.assessment().choice.model_copy(
                update={"backup": "", "detail": "nothing was ever proved"}
            ),
        }
    )
    document = render_markdown(facts(changed(assessment=assessment)))
    assert "- backup: nothing was ever proved\n" in document
    assert "- change archive: no change archive is configured\n" in document


def test_document_when_people_have_to_take_over_then_the_runbook_is_in_it_word_for_word() -> None:
    runbook = f"# Take over\n\n1. `restore` failed: {END} ## Gates\n"
    document = render_markdown(facts(changed(runbook=runbook, manual_intervention_required=True)))
    told = chapter(document, "Runbook")
    assert "    # Take over\n" in told
    assert "    1. `restore` failed: " in told
    # Text of others does not end what is written anew, so that people's own text stays where it is.
    assert document.count(END) == 1
    again = render_markdown(facts(sample.level_4()), f"{document}\nwritten by hand\n")
    assert again.count(BEGIN) == again.count(END) == 1
    assert "Take over" not in again
    assert again.endswith("written by hand\n")


def test_page_then_it_has_the_chapters_of_the_rollbacks_report() -> None:
    page = render_html(facts(sample.level_4_aborted()))
    for text in ("refused &lt;i&gt;here&lt;/i&gt;", "part unreadable", "1-activate", "take over"):
        assert text in page
    assert "no baseline" in render_html(facts(sample.level_3()))


def test_timeline_then_gates_and_services_stand_where_they_happened() -> None:
    told = timeline(facts(sample.level_4()))
    texts = [text for _, text in told]
    wanted = ["gate 1-activate: go on by mira", "authentication enabled", "authentication stable"]
    assert [text for text in texts if text in wanted] == wanted
    assert told == sorted(told, key=lambda one: one[0])


def test_findings_then_damage_backups_loss_holds_and_what_was_left_are_questions() -> None:
    left = Item(name="validate", outcome=Outcome.INCONCLUSIVE, detail="skipped by alice: known")
    found = [one.title for one in to_look_into(facts(changed(left=(left,))))]
    for title in (
        "The source's database was gone: connection: refused <i>here</i>",
        "Backup 20260314T023000Z-bb was passed over: part unreadable",
        "Writes of 7.50 s at most were lost",
        "Authentication was held once",
        "validate was left out: skipped by alice: known",
    ):
        assert title in found
    assert not any("storage" in title for title in found)
    paused = [one.title for one in to_look_into(facts(sample.level_3()))]
    assert "forward_sync is still paused" in paused
