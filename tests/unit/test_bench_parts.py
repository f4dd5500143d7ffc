"""What the benchmarks count with: picked changes, ratios, verdicts."""

from collections import Counter
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.support.data import SHAPES, Population
from bench.support.measure import Samples, alternate, grouped, ratio, seconds
from bench.support.options import Options
from bench.support.page import Run, page
from bench.support.table import Row, console, faster, markdown, slower, times, unmeasured


def test_shapes_when_at_scale_one_then_hold_a_million_rows_in_eight_tables() -> None:
    assert len(SHAPES) == 8
    assert Population(1.0).rows == 1_000_000


def test_pick_when_asked_for_keys_then_mixes_sixty_twentyfive_fifteen_percent() -> None:
    picked = Population(0.1).pick(20_000)
    updated = sum(len(changes.updated) for changes in picked)
    inserted = sum(len(changes.inserted) for changes in picked)
    deleted = sum(len(changes.deleted) for changes in picked)
    assert (updated, inserted, deleted) == (12_000, 5_000, 3_000)


def test_pick_when_rounds_follow_then_never_names_a_row_that_is_gone() -> None:
    population = Population(0.01)
    there = {name: set(numbers) for name, numbers in population.alive.items()}
    for _ in range(4):
        for changes in population.pick(2000):
            rows = there[changes.shape.name]
            assert set(changes.updated) | set(changes.deleted) <= rows
            assert not set(changes.inserted) & rows
            assert max(Counter(changes.numbers).values()) == 1
            there[changes.shape.name] = (rows | set(changes.inserted)) - set(changes.deleted)
    assert {name: set(numbers) for name, numbers in population.alive.items()} == there


def test_pick_when_the_seed_is_the_same_then_picks_the_same() -> None:
    assert Population(0.02).pick(500) == Population(0.02).pick(500)


def test_pick_when_values_are_swapped_then_both_rows_are_among_the_updated() -> None:
    (accounts, *others) = Population(0.1).pick(20_000)
    assert accounts.swapped
    assert {number for pair in accounts.swapped for number in pair} <= set(accounts.updated)
    assert not any(changes.swapped for changes in others)


def test_ratio_when_runs_are_paired_then_is_the_median_of_their_ratios() -> None:
    # The machine was ten times slower during the second pair: that cancels out.
    assert ratio(Samples([4.0, 40.0, 6.0]), Samples([2.0, 20.0, 2.0])) == 2.0


def test_ratio_when_counts_differ_then_compares_medians() -> None:
    assert ratio(Samples([30.0]), Samples([5.0, 3.0, 4.0])) == 7.5


@pytest.mark.parametrize(("part", "expected"), [(0.5, 10.0), (0.95, 19.0), (1.0, 20.0)])
def test_quantile_when_asked_then_is_a_value_that_was_measured(
    part: float, expected: float
) -> None:
    assert Samples([float(number) for number in range(20, 0, -1)]).quantile(part) == expected


def test_alternate_when_rounds_follow_then_turns_the_order_round() -> None:
    order: list[str] = []
    works = [(Samples(), lambda name=name: order.append(name)) for name in "ab"]
    alternate(3, works)
    assert "".join(order) == "abbaab"
    assert [len(samples.seconds) for samples, _ in works] == [3, 3]


def test_rows_when_a_limit_is_missed_then_say_no() -> None:
    assert faster("w", "r", "o", 2.0, least=2.5).verdict == "no"
    assert faster("w", "r", "o", 2.5, least=2.5).verdict == "yes"
    assert slower("w", "r", "o", 5.1, most=5).verdict == "no"
    assert slower("w", "r", "o", 4.9, most=5).verdict == "yes"
    assert unmeasured("w", "r", "≤ 1 s", "why").verdict == "–"


def test_times_when_ours_is_slower_then_says_so() -> None:
    assert times(0.5) == "2.00 × slower"
    assert times(4.0) == "4.00 × faster"


@pytest.mark.parametrize(
    ("value", "expected"), [(0.00312, "3.12 ms"), (0.25, "250 ms"), (2.5, "2.50 s"), (250, "250 s")]
)
def test_seconds_when_written_then_have_three_digits(value: float, expected: str) -> None:
    assert seconds(value) == expected


def test_tables_when_a_row_was_not_measured_then_hold_no_figure() -> None:
    rows = [unmeasured("verify at the fence", "cold verify", "≥ 20 × faster", "no ledger | yet")]
    assert "not measured yet" in console(rows)
    assert "| verify at the fence | cold verify | not measured yet |" in markdown(rows)


def test_page_when_written_then_names_command_and_load() -> None:
    run = Run(
        command="python -m bench", seconds=61.0, load_before="1 2 3", loads={"drain": "4 5 6"}
    )
    text = page([faster("w", "r", "o", 3.0, least=2)], run)
    assert "`python -m bench`" in text
    assert "before 1 2 3; after drain 4 5 6" in text
    assert grouped(200_000) == "200 000"


def test_main_when_asked_for_a_benchmark_that_is_none_then_ends_with_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "nothing"])
    assert ended.value.code == 2
    assert "write_cost" in capsys.readouterr().err


def test_main_when_a_benchmark_breaks_then_keeps_what_the_others_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def breaks(options: Options) -> list[Row]:
        raise RuntimeError(f"nothing at scale {options.scale}")

    works = {"one": lambda _: [faster("w", "r", "o", 3.0, least=2)], "other": breaks}
    monkeypatch.setattr("bench.__main__.BENCHMARKS", works)
    assert main(["--page", str(tmp_path / "page.md")]) == 1
    printed = capsys.readouterr().out
    assert "3.00 × faster" in printed
    assert "RuntimeError: nothing at scale 1.0" in printed
    assert "| other | – | failed |" in (tmp_path / "page.md").read_text(encoding="utf-8")
