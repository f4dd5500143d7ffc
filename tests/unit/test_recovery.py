"""What of a recovery needs no server: stored objects, conditions, configuration, the fake."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import SecretStr, ValidationError

from failback import certificates
from failback.beating import beating
from failback.errors import NoProvenBackupError, NothingRestoredError, UnreachableError
from failback.models.backups import BackedUpBucket
from failback.models.common import Outcome, Service, Side
from failback.models.recovery import Condition, Part, RecoveryService
from failback.models.storage import BucketState, ObjectHead
from failback.models.system import Item
from failback.object_sync.engine import ObjectSync
from failback.ports import Progress
from failback.providers.backup.fake import FakeBackups
from failback.providers.backup.vault import ElsewhereVault
from failback.providers.functions import FakeFunctionFleet
from failback.providers.load_balancer import FakeLoadBalancer
from failback.providers.recovery import FakeRecovery
from failback.providers.storage import FakeEndpoint
from failback.recovery import Hands, RecoverySettings
from failback.recovery.assess_others import look_at_storage
from failback.recovery.choosing import choose
from failback.recovery.findings import Finding, assessed, sound, untold
from failback.recovery.restoring import Restorer
from failback.recovery.returning import Returner
from failback.recovery.standby import Standby
from failback.recovery.waiting import Loop
from failback.sections.recovery import RecoveryConfig
from failback.sections.storage import StorageConfig

from support.backups import shelved
from support.recoveries import NoVault

HEAD = ObjectHead(size=0, etag="", content_type="text/plain")


class _Silent(FakeEndpoint):
    """An endpoint that does not answer."""

    def state(self, bucket: str) -> BucketState:
        raise UnreachableError(f"nobody answers about {bucket}", "start it")


def _quiet(_: str) -> None:
    pass


def _settings(**more: object) -> RecoverySettings:
    base: dict[str, object] = {
        "estate": "shop",
        "source_dsn": "postgresql://postgres@127.0.0.1:1/product",
        "target_dsn": "postgresql://failback@127.0.0.1:1/product",
        "standby_dsn": "postgresql://admin@127.0.0.1:1/postgres",
        "standby_host": "127.0.0.1",
        "standby_port": 1,
        "routes": MappingProxyType({}),
        "buckets": (("documents", "documents"),),
    }
    return RecoverySettings(**{**base, **more})  # type: ignore[arg-type]


def _restorer(source: FakeEndpoint, target: FakeEndpoint, folder: Path) -> Restorer:
    config = StorageConfig.model_validate(
        {"source": {}, "target": {"url": "http://t"}, "buckets": [{"target": "documents"}]}
    )
    sync = ObjectSync("shop", config, source=source, target=target, inventory=folder / "i.sqlite3")
    hands = Hands(
        vault=NoVault(),
        balancer=FakeLoadBalancer(),
        storage=sync,
        source_objects=source,
        target_objects=target,
    )
    settings = _settings()
    return Restorer(settings, hands, Standby(settings), Loop())


def test_storage_when_a_bucket_was_deleted_then_made_again_and_filled_from_the_target(
    tmp_path: Path,
) -> None:
    source, target = FakeEndpoint(Side.SOURCE), FakeEndpoint(Side.TARGET)
    target.make("documents")
    for number in range(7):
        target.put("documents", f"{number}.txt", b"text", HEAD, None)
    found = assessed(
        Part.STORAGE, look_at_storage((("documents", "documents"),), source, None, _quiet)
    )
    assert found.condition is Condition.GONE
    restorer = _restorer(source, target, tmp_path)
    report = restorer.restore(Part.STORAGE, "r", "b", _quiet)
    assert report.outcome is Outcome.SUCCEEDED
    assert (report.rows, report.bytes) == (7, 28)
    assert "made again: documents" in report.detail
    assert sum(len(page.objects) for page in source.listed("documents", "")) == 7
    found = assessed(
        Part.STORAGE, look_at_storage((("documents", "documents"),), source, None, _quiet)
    )
    assert found.condition is Condition.HEALTHY


def test_storage_when_the_target_is_silent_then_what_stays_lost_is_told(tmp_path: Path) -> None:
    source = FakeEndpoint(Side.SOURCE)
    restorer = _restorer(source, _Silent(Side.TARGET), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectSync, "status", lambda _self: _Known())
        report = restorer.restore(Part.STORAGE, "r", "b", _quiet)
    assert report.outcome is Outcome.FAILED
    assert "nobody answers" in report.detail
    assert "12 objects" in report.detail


class _Known:
    known_objects = 12


@pytest.mark.parametrize(
    ("side", "had", "condition"),
    [
        (Side.SOURCE, 5, Condition.CORRUPTED),
        (Side.SOURCE, 0, Condition.HEALTHY),
        (Side.TARGET, 5, Condition.HEALTHY),
    ],
)
def test_storage_when_a_bucket_is_empty_then_the_backup_tells_whether_objects_were_lost(
    side: Side, had: int, condition: Condition, tmp_path: Path
) -> None:
    source = FakeEndpoint(Side.SOURCE)
    source.make("documents")
    key = tmp_path / "key"
    certificates.generate(key)
    manifest = shelved(tmp_path / "store", key, 1).manifest
    bucket = BackedUpBucket(bucket="documents", part="b", versioned=False, objects=had, bytes=had)
    manifest = manifest.model_copy(update={"side": side, "buckets": (bucket,)})
    found = look_at_storage((("documents", "documents"),), source, manifest, _quiet)
    assert assessed(Part.STORAGE, found).condition is condition


def test_functions_when_their_service_is_enabled_then_each_is_brought_back() -> None:
    fleet = FakeFunctionFleet(["hello", "share"])
    hands = Hands(vault=NoVault(), balancer=FakeLoadBalancer(), functions=fleet)
    settings, loop = _settings(), Loop()
    returner = Returner(settings, hands, Standby(settings), loop)
    # Nobody answers at the target's address, so that it takes no writes.
    enabled = returner.enable(RecoveryService.AI_SERVICES, 100)
    assert enabled.outcome is Outcome.SUCCEEDED, enabled.detail
    assert {item.name for item in enabled.items} >= {"one writer", "hello", "share"}
    assert fleet.calls == ["bring_back hello", "bring_back share"]
    assert returner.look(RecoveryService.AI_SERVICES).outcome is Outcome.SUCCEEDED
    loop.close()


def test_condition_when_evidence_differs_then_the_gravest_counts() -> None:
    good, bad = sound("a"), Finding("b", Condition.CORRUPTED, "x")
    assert assessed(Part.DATABASE, [good, untold("c", "?")]).condition is Condition.HEALTHY
    assert assessed(Part.DATABASE, [good, untold("c", "?", vital=True)]).condition is (
        Condition.UNKNOWN
    )
    assert assessed(Part.DATABASE, [bad, untold("c", "?", vital=True)]).condition is (
        Condition.CORRUPTED
    )
    assert assessed(Part.DATABASE, []).condition is Condition.UNKNOWN
    assert assessed(Part.DATABASE, [bad]).evidence == (
        Item(name="b", outcome=Outcome.FAILED, detail="x"),
    )


def test_name_beside_when_made_then_short_safe_and_of_one_rollback_alone() -> None:
    standby = Standby(_settings())
    names = {standby.beside(f"Rollback/{'x' * 90}-{number}") for number in range(3)}
    assert len(names) == 3
    assert all(len(name) <= 63 and name.replace("_", "").isalnum() for name in names)
    assert standby.beside("a/b") != standby.beside("a-b")


@pytest.mark.parametrize("shares", [(), (0, 100), (50, 25, 100), (50,), (50, 101)])
def test_shares_when_they_do_not_rise_to_all_then_refused(shares: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="they rise"):
        RecoveryConfig(standby_dsn=SecretStr("x"), traffic_shares=shares)


def test_policy_when_made_then_it_has_services_and_no_secret() -> None:
    config = RecoveryConfig(
        standby_dsn=SecretStr("postgresql://admin:hunter2@standby/postgres"),
        services={RecoveryService.CORE_API: (Service.DATABASE, Service.FUNCTIONS)},
        gates="automatic",
    )
    policy = config.policy()
    assert policy.services[RecoveryService.AUTHENTICATION] == ("auth",)
    assert policy.services[RecoveryService.CORE_API] == ("database", "functions")
    assert policy.services[RecoveryService.ADVANCED_FEATURES] == ()
    assert (policy.stability_seconds, policy.gates) == (30.0, "automatic")
    assert "hunter2" not in policy.model_dump_json()


class TestFake:
    """What workflow tests rely on."""

    def test_fake_when_nothing_was_restored_then_later_steps_refuse(self) -> None:
        fake = FakeRecovery()
        with pytest.raises(NothingRestoredError):
            fake.verify("r")
        with pytest.raises(NoProvenBackupError):
            fake.restore(Part.DATABASE, "r", "another")
        fake.restore(Part.DATABASE, "r", fake.backup)
        assert fake.replay("r", fake.backup).replayed_upto == "0/2000"
        assert fake.rebuild("r").outcome is Outcome.SUCCEEDED
        assert fake.rebuilt == ["r"]

    def test_fake_when_told_to_then_it_fails_and_spoils_what_it_should(self) -> None:
        fake = FakeRecovery(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        fake.fail("assess")
        with pytest.raises(UnreachableError):
            fake.assess()
        assert fake.assess().condition(Part.DATABASE) is Condition.GONE
        fake.spoil("look", times=2, detail="too slow")
        outcomes = [fake.look(RecoveryService.CORE_API).outcome for _ in range(3)]
        assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]
        assert len(fake.called("look")) == 3


class TestBeating:
    """What keeps a waiting worker alive, and ends one that has to stop."""

    def test_work_when_it_waits_long_then_what_it_told_last_is_told_again(self) -> None:
        told: list[str] = []
        enough = threading.Event()

        def work(tell: Progress) -> str:
            tell("reading")
            assert enough.wait(30)
            return "done"

        def listen(text: str) -> None:
            told.append(text)
            if len(told) == 2:
                enough.set()

        assert beating(work, listen, "beginning") == "done"
        assert told[:2] == ["reading", "reading"]

    def test_work_when_the_listener_raises_then_it_ends_before_that_is_raised(self) -> None:
        ended = threading.Event()

        def work(tell: Progress) -> None:
            try:
                while True:
                    tell("going on")
                    time.sleep(0.005)
            finally:
                ended.set()

        with pytest.raises(UnreachableError):
            beating(work, _raising, "beginning")
        assert ended.is_set()

    def test_work_when_it_fails_then_its_error_is_raised(self) -> None:
        def work(_tell: Progress) -> None:
            raise TimeoutError("the server said so")

        with pytest.raises(TimeoutError, match="the server said so"):
            beating(work, _quiet, "beginning")
        with pytest.raises(TimeoutError, match="the server said so"):
            beating(work, None, "beginning")


def test_backups_when_another_tool_keeps_them_then_none_is_taken_and_the_tool_is_named() -> None:
    kept = FakeBackups()
    kept.take()
    kept.prove()
    choice = choose(ElsewhereVault(kept, "pgbackrest"))
    assert not choice.backup
    assert "pgbackrest keeps" in choice.passed_over[0].detail


def _raising(_: str) -> None:
    raise UnreachableError("cancelled")
