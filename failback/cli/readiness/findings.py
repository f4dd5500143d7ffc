"""What a look at one part of an estate found."""

from enum import StrEnum

from failback.errors import FailbackError
from failback.models.common import Payload


class Answer(StrEnum):
    """Whether something is as failback needs it."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Finding(Payload):
    """One question about one part, its answer, and the cure where the answer is no."""

    part: str
    question: str
    answer: Answer
    detail: str = ""
    cure: str = ""


class CheckReport(Payload):
    """Every finding about an estate."""

    estate: str
    findings: tuple[Finding, ...]

    @property
    def answer(self) -> Answer:
        """No where anything is not as it must be, else unknown where anything is not known."""
        answers = {finding.answer for finding in self.findings}
        return next((a for a in (Answer.NO, Answer.UNKNOWN) if a in answers), Answer.YES)


class Part:
    """Collects the findings of one part.

    Args:
        name: the part, such as `source` or `balancer`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []

    def say(self, question: str, fine: bool | None, detail: str = "", cure: str = "") -> bool:
        """Record an answer; returns whether it is yes. None says unknown."""
        answer = {True: Answer.YES, False: Answer.NO, None: Answer.UNKNOWN}[fine]
        self.findings.append(
            Finding(
                part=self.name,
                question=question,
                answer=answer,
                detail=detail,
                cure="" if fine else cure,
            )
        )
        return bool(fine)

    def skip(self, question: str, why: str) -> None:
        """Record that a question could not be asked."""
        self.say(question, None, why)

    def refuse(self, question: str, error: FailbackError) -> None:
        """Record that the answer is an error with its own cure."""
        self.say(question, False, error.cause, error.cure)
