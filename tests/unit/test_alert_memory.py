"""Which alerts are new, which fire, and which were forgotten."""

from datetime import timedelta

from failback.decision import memory
from failback.decision.memory import receive
from failback.models.responses import AlertResponseRequest, ResponsePolicy, ResponseState

from support.responses import STARTED, alert, resolved


def test_alert_when_it_comes_again_then_known() -> None:
    state = ResponseState()
    first = [alert(1), alert(1), alert(2)]
    assert receive(state, first, STARTED) == (first[0], first[2])
    assert receive(state, [alert(2, summary="still")], STARTED) == ()
    assert (state.received, state.repeats, len(state.standing)) == (2, 2, 2)


def test_alert_when_resolved_then_it_stands_no_more_and_is_new_once() -> None:
    state = ResponseState()
    receive(state, [alert(1)], STARTED)
    over = resolved(alert(1))
    assert receive(state, [over, over], STARTED) == (over,)
    assert state.standing == {}


def test_alert_when_told_of_after_its_end_then_stays_resolved() -> None:
    state = ResponseState()
    over = resolved(alert(1))
    assert receive(state, [over], STARTED) == (over,)
    assert receive(state, [alert(1)], STARTED) == ()
    assert state.standing == {}


def test_event_when_reported_then_new_and_nothing_stands() -> None:
    state = ResponseState()
    event = alert(1, labels={"reported": "event"})
    assert receive(state, [event], STARTED) == (event,)
    assert state.standing == {}
    assert state.unattributed == [event.key]


def test_alert_when_it_stands_then_only_the_label_that_decides_is_kept() -> None:
    state = ResponseState(policy=ResponsePolicy(label="action"))
    long = alert(1, labels={"action": "x", "noise": "y" * 1000}, summary="z" * 1000)
    receive(state, [long], STARTED)
    (standing,) = state.standing.values()
    assert standing.labels == {"action": "x"}
    assert len(standing.summary) == 200
    assert standing.key == long.key


def test_alert_when_nobody_repeats_it_for_a_day_then_forgotten() -> None:
    state = ResponseState()
    receive(state, [alert(1), alert(2)], STARTED)
    later = STARTED + timedelta(seconds=memory.REMEMBERED_SECONDS / 2)
    receive(state, [alert(2)], later)
    much_later = STARTED + timedelta(seconds=memory.REMEMBERED_SECONDS + 1)
    receive(state, [alert(3)], much_later)
    assert list(state.standing) == [alert(2).key, alert(3).key]


def test_alerts_when_there_are_very_many_then_the_state_stays_a_small_payload() -> None:
    state = ResponseState(policy=ResponsePolicy())
    for first in range(0, 12_000, 100):
        batch = [
            alert(
                number,
                name="n" * 300,
                summary="s" * 5000,
                labels={f"label-{n}": "v" * 300 for n in range(50)},
                url="u" * 2000,
            )
            for number in range(first, first + 100)
        ]
        receive(state, batch, STARTED)
    assert len(state.seen) == memory.MOST_SEEN
    assert len(state.standing) == memory.MOST_STANDING
    request = AlertResponseRequest(estate="shop", state=state)
    assert len(request.model_dump_json()) < 1.8 * 2**20
    assert AlertResponseRequest.model_validate_json(request.model_dump_json()) == request
