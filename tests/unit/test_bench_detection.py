"""NAB's score as this repository counts it, and the choice without the group that is scored."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.detection.__main__ import main
from bench.detection.choosing import alarms, cross_validated
from bench.detection.scoring import Result, probation, scaled_sigmoid, scored, total
from bench.detection.series import Series, read_all

WINDOWS = ((400, 499), (800, 899))


@pytest.mark.parametrize(
    ("position", "worth"), [(-1.0, 0.98661), (-0.5, 0.84828), (0.0, 0.0), (1.0, -0.98661)]
)
def test_scaled_sigmoid_when_at_a_published_position_then_is_the_published_worth(
    position: float, worth: float
) -> None:
    assert scaled_sigmoid(position) == pytest.approx(worth, abs=1e-5)


def test_scaled_sigmoid_when_three_widths_behind_then_is_minus_one() -> None:
    assert scaled_sigmoid(3.0) == -1.0


@pytest.mark.parametrize(("rows", "learning"), [(100, 15), (4032, 604), (5000, 750), (22_695, 750)])
def test_probation_when_a_series_is_long_then_is_at_most_750_rows(rows: int, learning: int) -> None:
    assert probation(rows) == learning


def test_scored_when_nothing_is_flagged_then_is_zero() -> None:
    result = scored(2000, WINDOWS, [])
    assert (result.points, result.score, result.detected) == (-2.0, 0.0, 0)
    assert result.normal == 2000 - 300 - 200


def test_scored_when_each_window_is_flagged_at_its_start_then_is_a_hundred() -> None:
    assert scored(2000, WINDOWS, [400, 800]).score == pytest.approx(100.0)


def test_scored_when_a_window_is_flagged_again_then_only_the_first_alarm_counts() -> None:
    first, all_three = scored(2000, WINDOWS, [420]), scored(2000, WINDOWS, [420, 430, 499])
    assert all_three.points == first.points
    assert (all_three.detected, all_three.false_alarms, all_three.alarms) == (1, 0, 3)


def test_scored_when_an_alarm_is_before_every_window_then_costs_its_whole_weight() -> None:
    assert scored(2000, WINDOWS, [350]).points == pytest.approx(-2.0 - 0.11)


def test_scored_when_an_alarm_is_just_behind_a_window_then_costs_less() -> None:
    near, far = scored(2000, WINDOWS, [505]), scored(2000, WINDOWS, [1900])
    assert near.points == pytest.approx(-2.0 + 0.11 * scaled_sigmoid(6 / 99))
    assert far.points == pytest.approx(-2.11)
    assert near.false_alarms == far.false_alarms == 1


def test_scored_when_alarms_are_within_the_probation_then_they_are_not_looked_at() -> None:
    assert scored(2000, WINDOWS, range(300)) == scored(2000, WINDOWS, [])


def test_scored_when_a_window_is_within_the_probation_then_it_is_not_asked_for() -> None:
    assert scored(2000, ((10, 20), *WINDOWS), []).windows == 2


def test_total_when_series_have_no_windows_then_their_false_alarms_still_cost() -> None:
    whole = total([scored(2000, (), [1000]), scored(2000, WINDOWS, [400, 800])])
    assert whole.score == pytest.approx(100 - 100 * 0.11 / 4)
    assert scored(2000, (), []).score is None


def test_alarms_when_ratios_stay_high_then_rests_between() -> None:
    assert alarms([0, 1, 1, 1, 1, 1], (1.0, 2)) == [1, 4]


def test_cross_validated_when_a_group_would_choose_otherwise_then_is_scored_by_the_others() -> None:
    def quiet_until(row: int, ratio: float) -> list[float]:
        return [ratio if index == row else 0.0 for index in range(1000)]

    series = [_series(f"{group}/{name}.csv") for group in ("a", "b") for name in ("1", "2")]
    ratios: dict[str, Sequence[float]] = {
        one.name: quiet_until(400, 1.2 if one.group == "a" else 0.8) for one in series
    }
    result, chosen = cross_validated(series, ratios)
    # Of `b` alone only the lowest threshold sees anything; of `a` alone every one up to 1.2 does.
    assert chosen["a"][0] == 0.8
    assert result.windows == 4
    assert result.detected == 2 + (2 if chosen["b"][0] == 0.8 else 0)


def test_read_all_when_a_folder_is_in_nabs_layout_then_windows_are_rows(tmp_path: Path) -> None:
    _write(tmp_path)
    (one,) = read_all(tmp_path)
    assert one == Series(
        name="real/one.csv",
        times=(1396310400.0, 1396310700.0, 1396311000.0),
        values=(1.0, 2.5, 3.0),
        windows=((1, 2),),
    )


def test_main_when_there_are_no_series_then_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path)]) == 0
    assert "skipped" in capsys.readouterr().out


def test_main_when_there_are_series_then_prints_each_and_the_total(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    assert main(["--data", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "real/one.csv" in told
    assert "NAB standard profile 0.0; detection accuracy 0 of 1 windows" in told


def _series(name: str) -> Series:
    return Series(name=name, times=(), values=(0.0,) * 1000, windows=((400, 499),))


def _write(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real/one.csv").write_text(
        "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,2.5\n2014-04-01 00:10:00,3\n",
        encoding="utf-8",
    )
    windows = {"real/one.csv": [["2014-04-01 00:05:00.000000", "2014-04-01 00:10:00.000000"]]}
    (folder / "windows.json").write_text(json.dumps(windows), encoding="utf-8")


def test_result_when_nothing_was_normal_then_the_rate_is_zero() -> None:
    assert Result().false_positive_rate == 0.0
    assert Result().accuracy is None
