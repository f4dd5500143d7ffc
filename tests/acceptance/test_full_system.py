"""Level 3 on the whole lab: sessions go on, files open, functions answer, nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.lab_run import LabRun, command, command_here
from support.leading import approved

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabRun]:
    """A lab with everything that level 3 takes back, and its own worker."""
    tmp_path.chmod(0o755)
    folder = str(tmp_path / "lab")
    answer = command(
        *("lab", "up", "--dir", folder, "--worker", "--no-detection", "--json"), seconds=150
    )
    assert answer.code == 0, answer
    run = LabRun(folder=tmp_path, facts=answer.facts, call=command_here)
    try:
        yield run
    finally:
        run.close()


class Browser:
    """Somebody who signed up once, and goes on clicking."""

    def __init__(self, lab: LabRun) -> None:
        self._http = httpx.Client(
            base_url=lab.facts["balancer"]["api_url"],
            headers={"apikey": lab.facts["product"]["anon_key"]},
            timeout=20.0,
        )
        body = {"email": "mira@browser.test", "password": "correct horse"}
        self.tokens = self._posted("/auth/v1/signup", body)

    def _posted(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def who(self) -> tuple[str, str]:
        """Her id as the product knows it, and which side said so."""
        token = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        answer = self._http.get("/auth/v1/user", headers=token)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"], answer.headers["x-lab-side"]

    def refresh(self) -> None:
        """Swap her refresh token for the next one."""
        body = {"refresh_token": self.tokens["refresh_token"]}
        self.tokens = self._posted("/auth/v1/token?grant_type=refresh_token", body)

    def ask(self) -> str:
        """Ask the AI a question."""
        token = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        answer = self._http.post(
            "/functions/v1/ai-query", json={"query": "invoices"}, headers=token
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-lab-side"]

    def close(self) -> None:
        self._http.close()


def test_level_3_when_run_under_load_then_the_whole_product_goes_on_at_the_source(
    lab: LabRun,
) -> None:
    lab.run("arm")
    load = lab.start_load(users=8, rps=40, seconds=300, objects=True)
    lab.until_acknowledged(150)
    browser = Browser(lab)
    user, side = browser.who()
    assert side == "target"
    rollback_id = approved(lab, 3, "logins break")
    lab.until_step("done", "failed")
    # The same session, before and after its access token is renewed.
    assert browser.who() == (user, "source")
    browser.refresh()
    assert browser.who() == (user, "source")
    assert browser.ask() == "source"
    browser.close()
    lab.until_acknowledged(50)
    lab.stop_load(load)

    result = lab.run("rollback", "report", rollback_id)
    assert result["success"], result["error"]
    assert result["execution_seconds"] < 60.0
    assert result["data_loss"]["lost_rows"] == 0
    wrong = [step for step in result["steps"] if step["outcome"] != "succeeded"]
    assert not wrong, (wrong, result["validation"])
    assert len(result["validation"]["items"]) >= 7
    assert result["paused"]
    verdict = lab.audit()
    assert verdict.acknowledged > 200
    assert verdict.objects > 10
    assert (verdict.lost, verdict.wrong) == (0, 0)
    assert lab.load_summary()["failed_by_side"].get("source", 0) == 0
