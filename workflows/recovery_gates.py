"""The gates of a guided procedure: what is shown, who may answer, and what counts."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Outcome
    from failback.models.recovery import GateAnswer, GateVerb, RecoveryGate, RecoveryPolicy
    from failback.models.responses import AUTOMATION


class Gates:
    """One gate at a time, and those that were passed.

    Args:
        policy: who may answer, and whether people are asked at all.
        people: known people with their roles; empty accepts anybody.
    """

    def __init__(self, policy: RecoveryPolicy, people: dict[str, tuple[str, ...]]) -> None:
        self._policy = policy
        self._people = people
        self._passed: list[RecoveryGate] = []
        self.open: RecoveryGate | None = None

    @property
    def all(self) -> tuple[RecoveryGate, ...]:
        """Every gate so far; the one that waits comes last."""
        return (*self._passed, self.open) if self.open else tuple(self._passed)

    @property
    def answered(self) -> bool:
        """Whether the gate that was opened last has its answer."""
        return self.open is None

    @property
    def last(self) -> GateAnswer:
        """The newest answer; raises IndexError before there is one."""
        answer = self._passed[-1].answer
        if answer is None:
            raise IndexError("a gate was passed without an answer")
        return answer

    def ask(self, gate: RecoveryGate) -> None:
        """Open a gate. Where nobody has to be asked it is answered at once."""
        self.open = gate
        if self._policy.gates == "automatic":
            well = gate.last_outcome is not Outcome.FAILED
            verb = GateVerb.GO_ON if well else GateVerb.ABORT
            self._pass(
                GateAnswer(
                    gate=gate.gate,
                    verb=verb,
                    who=AUTOMATION,
                    reason="" if well else "the step before failed, and nobody is asked",
                ),
                gate.opened_at,
            )

    def objection(self, answer: GateAnswer) -> str:
        """Why an answer would not count, with what to do; empty where it counts."""
        return self._elsewhere(answer) or self._not_theirs(answer) or self._not_now(answer)

    def answer(self, answer: GateAnswer, at: datetime) -> RecoveryGate:
        """Take an answer that nothing speaks against; returns the gate that it passed."""
        return self._pass(answer, at)

    def _pass(self, answer: GateAnswer, at: datetime) -> RecoveryGate:
        if self.open is None:
            raise RuntimeError("no gate is open")
        passed = self.open.model_copy(update={"answer": answer, "answered_at": at})
        self._passed.append(passed)
        self.open = None
        return passed

    def _elsewhere(self, answer: GateAnswer) -> str:
        for passed in self._passed:
            if passed.gate == answer.gate and passed.answer is not None:
                return (
                    f"Gate {answer.gate} was answered already: {passed.answer.verb.value} by "
                    f"{passed.answer.who}. "
                    + (f"The gate that waits is {self.open.gate}." if self.open else "")
                ).strip()
        if self.open is None:
            return "No gate waits for an answer now: see `failback recovery status`."
        if answer.gate != self.open.gate:
            return f"There is no gate {answer.gate!r}. The one that waits is {self.open.gate}."
        return ""

    def _not_theirs(self, answer: GateAnswer) -> str:
        if not answer.who:
            return "An answer needs a name in `who`."
        if not self._people:
            return ""
        if answer.who not in self._people:
            return (
                f"Nobody known is called {answer.who!r}. Known: {', '.join(sorted(self._people))}."
            )
        held = self._people[answer.who]
        if answer.role not in held:
            return (
                f"{answer.who} does not hold the role {answer.role!r}. "
                f"Roles of {answer.who}: {', '.join(held)}."
            )
        if self._policy.roles and answer.role not in self._policy.roles:
            return (
                f"The role {answer.role!r} does not answer gates of a recovery. "
                f"Roles that do: {', '.join(self._policy.roles)}."
            )
        return ""

    def _not_now(self, answer: GateAnswer) -> str:
        if self.open is None:
            return ""
        failed = self.open.last_outcome is Outcome.FAILED
        if failed and answer.verb is GateVerb.GO_ON:
            return (
                "The step before this gate failed. Repeat it, skip it with a reason, or abort: "
                f"{self.open.last_detail}"
            )
        if answer.verb in (GateVerb.SKIP, GateVerb.ABORT) and not answer.reason.strip():
            return f"{answer.verb.value.capitalize()} needs a reason, which stands in the record."
        return ""
