"""`failback check`: whether failback can reach each part and has the rights it needs."""

import asyncio
from itertools import groupby

from rich.console import Console
from rich.text import Text

from failback.cli.output import ExitCode, redacted
from failback.cli.readiness.findings import Answer, CheckReport
from failback.cli.session import Session
from failback.cli.writing import MARKS, STYLES, heading
from failback.models.common import Outcome

_OUTCOMES = {
    Answer.YES: Outcome.SUCCEEDED,
    Answer.NO: Outcome.FAILED,
    Answer.UNKNOWN: Outcome.INCONCLUSIVE,
}
_CODES = {
    Answer.YES: ExitCode.DONE,
    Answer.NO: ExitCode.FAILED,
    Answer.UNKNOWN: ExitCode.WAITING,
}


def check_estate(session: Session) -> int:
    """Look at every part and print what was found."""
    estate = session.estate

    from failback.cli.readiness.estate import examine  # noqa: PLC0415 - every client library comes along

    report = asyncio.run(examine(estate))
    session.output.show(report, lambda console: _write(console, report))
    return _CODES[report.answer]


def _write(console: Console, report: CheckReport) -> None:
    for name, findings in groupby(report.findings, key=lambda finding: finding.part):
        console.print(Text(name, style="bold"))
        for finding in findings:
            outcome = _OUTCOMES[finding.answer]
            line = Text(f"  {MARKS[outcome]} ", style=STYLES[outcome]) + Text(finding.question)
            if finding.detail:
                line += Text(f": {redacted(finding.detail)}", style="dim")
            console.print(line)
            if finding.cure:
                console.print(Text(f"    cure: {redacted(finding.cure)}"))
    count = dict.fromkeys(Answer, 0)
    for finding in report.findings:
        count[finding.answer] += 1
    verdict = f"{count[Answer.YES]} yes, {count[Answer.NO]} no, {count[Answer.UNKNOWN]} unknown"
    heading(console, f"{report.estate}: {verdict}", _OUTCOMES[report.answer])
