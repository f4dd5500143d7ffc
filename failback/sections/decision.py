"""The decision matrix as an estate wants it, and how far failback may act by itself."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from failback.config_keys import nearest_of
from failback.decision.fallback import AlertWords
from failback.decision.matrix import (
    ANOMALY_SCORE,
    DEFAULT_RULES,
    ERROR_RATE,
    EVENT_METRICS,
    RESPONSE_TIME_P95,
    ROLLBACK_LEVELS,
)
from failback.decision.queries import REQUEST_RATE
from failback.models.decision import DecisionKind, Mode, Rule, RuleClass
from failback.sections.base import Section


def _known(kind: type[Enum]) -> BeforeValidator:
    """Refuses a value that an enum lacks, with the nearest that it has."""
    names = [str(one.value) for one in kind]

    def check(value: Any) -> Any:
        if value is None or isinstance(value, kind) or value in names:
            return value
        raise ValueError(f"{value!r} is none of {', '.join(names)}{nearest_of(str(value), names)}")

    return BeforeValidator(check)


Kind = Annotated[DecisionKind, _known(DecisionKind)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Duration = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RuleConfig(Section):
    """What is different about one row of the matrix, or a whole new row."""

    enabled: bool = True
    rule_class: Annotated[RuleClass, _known(RuleClass)] | None = None
    metric: str | None = None
    """A new row needs this and `threshold`."""
    comparison: Literal[">", ">=", "<", "<="] | None = None
    threshold: Number | None = None
    unit: str | None = None
    sustained_seconds: Duration | None = None
    within_seconds: Duration | None = None
    """For events: counted over so long."""
    decision: Kind | None = None
    level: Annotated[int, Field(ge=0, le=4)] | None = None


class FallbackConfig(Section):
    """What alerts' own words stand for while the metric store does not answer."""

    label: str = "action"
    actions: dict[str, Kind] = Field(
        default_factory=lambda: {
            DecisionKind.IMMEDIATE_ROLLBACK.value: DecisionKind.IMMEDIATE_ROLLBACK,
            DecisionKind.ROLLBACK_WITH_APPROVAL.value: DecisionKind.ROLLBACK_WITH_APPROVAL,
            DecisionKind.PAUSE_AND_INVESTIGATE.value: DecisionKind.PAUSE_AND_INVESTIGATE,
            "PAUSE_MIGRATION": DecisionKind.PAUSE_AND_INVESTIGATE,
        }
    )
    severities: dict[str, Kind] = Field(
        default_factory=lambda: {
            # A severity says how bad it is, not that going back would help: people decide.
            "critical": DecisionKind.ROLLBACK_WITH_APPROVAL,
            "warning": DecisionKind.PAUSE_AND_INVESTIGATE,
        }
    )

    def words(self) -> AlertWords:
        """The same as a payload."""
        return AlertWords(label=self.label, actions=self.actions, severities=self.severities)


class AnomalyConfig(Section):
    """What the rule `unusual_pattern` watches."""

    metrics: tuple[str, ...] = (ERROR_RATE, RESPONSE_TIME_P95, REQUEST_RATE)
    history_seconds: float = Field(default=86_400.0, gt=0)
    """How much of the past the detector has seen when it judges the present."""
    step_seconds: float = Field(default=60.0, gt=0)


class DecisionConfig(Section):
    """What is decided, and what failback may do about it by itself."""

    mode: Annotated[Mode, _known(Mode)] = Mode.OBSERVE
    rules: dict[str, RuleConfig] = Field(default_factory=dict)
    """By name: changes of the specification's rows, and new ones."""
    evidence_deadline_seconds: float = Field(default=0.5, gt=0)
    """A decision is taken after so long with what is known by then."""
    evaluate_seconds: float = Field(default=15.0, gt=0)
    """How often is decided again while alerts fire, evidence is missing or a rollback runs."""
    cool_down_seconds: float = Field(default=1800.0, ge=0)
    """After a rollback people are asked for so long, whatever the decision."""
    automatic_at_most: int = Field(default=2, ge=0)
    """Automatic rollbacks within `automatic_within_seconds`; then people are asked."""
    automatic_within_seconds: float = Field(default=86_400.0, gt=0)
    fallback: FallbackConfig = FallbackConfig()
    anomaly: AnomalyConfig = AnomalyConfig()

    def check(self, metrics: Iterable[str]) -> None:
        """Raise the ValueError of `matrix`, or of a metric to watch that nobody knows."""
        known = sorted(metrics)
        self.matrix(known)
        for metric in self.anomaly.metrics:
            if metric not in known:
                raise ValueError(
                    f"anomaly.metrics names {metric}, which nobody knows{nearest_of(metric, known)}"
                )

    def matrix(self, metrics: Iterable[str]) -> tuple[Rule, ...]:
        """The specification's rows with these changes, and new rows after them.

        Args:
            metrics: every metric that can be asked for, besides events and the anomaly score.

        Raises:
            ValueError: a rule or a metric that nobody knows, with the nearest one; a new row
                that lacks its metric or threshold; a rule that decides nothing.
        """
        known = sorted({*metrics, *EVENT_METRICS, ANOMALY_SCORE})
        changes = dict(self.rules)
        rows = [_changed(rule, changes.pop(rule.name, RuleConfig())) for rule in DEFAULT_RULES]
        rows += [_added(name, change) for name, change in changes.items()]
        for rule in rows:
            _check(rule, known)
        disabled = {name for name, change in self.rules.items() if not change.enabled}
        return tuple(rule for rule in rows if rule.name not in disabled)


def _given(change: RuleConfig) -> dict[str, Any]:
    given = change.model_dump(exclude_none=True, exclude={"enabled"})
    if "decision" in given:
        given.setdefault("level", ROLLBACK_LEVELS[given["decision"]])
    return given


def _changed(rule: Rule, change: RuleConfig) -> Rule:
    return rule.model_copy(update=_given(change))


def _added(name: str, change: RuleConfig) -> Rule:
    if change.metric is None or change.threshold is None:
        names = [rule.name for rule in DEFAULT_RULES]
        raise ValueError(
            f"unknown rule {name}{nearest_of(name, names)}; "
            "a new rule needs at least metric and threshold"
        )
    given = {"rule_class": RuleClass.INVESTIGATE, **_given(change)}
    like = next(rule for rule in DEFAULT_RULES if rule.rule_class == given["rule_class"])
    given.setdefault("decision", like.decision)
    given.setdefault("level", ROLLBACK_LEVELS[given["decision"]])
    return Rule(name=name, **given)


def _check(rule: Rule, known: Sequence[str]) -> None:
    if rule.metric not in known:
        raise ValueError(
            f"rule {rule.name} asks for metric {rule.metric}, which nobody knows"
            f"{nearest_of(rule.metric, known)}; say under metrics.queries how it is asked for"
        )
    if rule.decision is DecisionKind.CONTINUE_MIGRATION:
        raise ValueError(f"rule {rule.name} decides nothing; enabled: false leaves it out")
    rollback = ROLLBACK_LEVELS[rule.decision] > 0
    if rollback != (rule.level > 0):
        raise ValueError(f"rule {rule.name} decides {rule.decision.value} at level {rule.level}")
    if rule.metric in EVENT_METRICS and (rule.sustained_seconds or not rule.within_seconds):
        raise ValueError(
            f"rule {rule.name} counts events: it needs within_seconds, and no sustained_seconds"
        )
    if rule.metric not in EVENT_METRICS and rule.within_seconds:
        raise ValueError(
            f"rule {rule.name} asks for {rule.metric}, which is no count of events: "
            "it takes sustained_seconds, and no within_seconds"
        )
