"""Manifests, lists and pruning of backups in a folder, and the configuration that they carry."""

import json
from pathlib import Path

import pytest
import yaml
from botocore.stub import ANY, Stubber
from pydantic import SecretStr

from failback import certificates
from failback.config import load
from failback.errors import (
    BackupError,
    BackupManifestError,
    BackupNotFoundError,
    BackupSignatureError,
    ConfigurationError,
)
from failback.models.backups import BackupPart, BackupState, PartKind
from failback.providers.backup import FolderStore, S3Store, open_backups
from failback.providers.backup.backups import _proof
from failback.providers.backup.configuration import without_secrets
from failback.providers.backup.proving import Held
from failback.providers.backup.shelf import Shelf
from failback.providers.backup.signing import Trust
from failback.sections.backup import BackupConfig, S3Config

from support.backups import CONFIGURATION, Shelved, opened, shelved

HELD = Held("16.1", "sound", ())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    certificates.generate(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def shelf(tmp_path: Path, key: Path) -> Shelf:
    return Shelf(FolderStore(tmp_path / "store"), "shop", Trust(certificates.read_signing_key(key)))


def prove(shelf: Shelf, backup: Shelved, *, problem: str = "") -> None:
    held = None if problem else HELD
    shelf.write(_proof(shelf.manifest(backup.id), 1.0, held=held, problem=problem))


def states(shelf: Shelf) -> list[BackupState]:
    return [one.state for one in shelf.list().backups]


def test_list_when_backups_are_of_every_state_then_newest_first_with_why(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    first, second, third, fourth = (shelved(tmp_path / "store", key, n) for n in range(4))
    prove(shelf, first)
    prove(shelf, second, problem="a table is missing")
    (fourth.home / "database" / "toc.dat").unlink()
    listed = shelf.list()
    assert [one.id for one in listed.backups] == [fourth.id, third.id, second.id, first.id]
    assert [one.state.value for one in listed.backups] == ["broken", "complete", "broken", "proven"]
    assert "database/toc.dat" in listed.backups[0].problem
    assert listed.backups[2].problem == "a table is missing"
    assert listed.newest_proven == listed.backups[3]


def test_list_when_a_folder_has_no_manifest_then_there_is_no_backup(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    (shelved(tmp_path / "store", key, 1).home / "manifest.json").unlink()
    assert shelf.list().backups == ()
    assert len(shelf.list().unfinished) == 1
    with pytest.raises(BackupNotFoundError, match="has no backup of shop"):
        shelf.newest()


def test_proof_when_the_manifest_was_written_again_then_it_is_void(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    backup = shelved(tmp_path / "store", key, 1)
    prove(shelf, backup)
    assert states(shelf) == [BackupState.PROVEN]
    backup.seal(backup.manifest.model_copy(update={"position": "0/2"}))
    assert states(shelf) == [BackupState.COMPLETE]


def test_proof_when_it_is_forged_then_it_proves_nothing(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    backup = shelved(tmp_path / "store", key, 1)
    unsigned = Shelf(shelf.store, "shop", Trust())
    unsigned.write(_proof(shelf.manifest(backup.id), 1.0, held=HELD))
    assert states(shelf) == [BackupState.COMPLETE]


def test_proof_when_it_is_that_of_another_backup_then_it_proves_nothing(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    one, other = (shelved(tmp_path / "store", key, n) for n in (1, 2))
    prove(shelf, one)
    (other.home / "proof.json").write_bytes((one.home / "proof.json").read_bytes())
    assert states(shelf) == [BackupState.COMPLETE, BackupState.PROVEN]


def test_manifest_when_any_byte_is_changed_then_it_is_refused(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    backup = shelved(tmp_path / "store", key, 1)
    path = backup.home / "manifest.json"
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(BackupError):
            shelf.manifest(backup.id)
    path.write_bytes(data)
    assert shelf.manifest(backup.id).manifest == backup.manifest


def test_manifest_when_nobody_signs_then_an_accident_is_still_found(
    tmp_path: Path, key: Path
) -> None:
    backup = shelved(tmp_path / "store", key, 1)
    backup.seal(backup.manifest, Trust())
    shelf = Shelf(FolderStore(tmp_path / "store"), "shop", Trust())
    assert shelf.manifest(backup.id).signed_by == ""
    path = backup.home / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 3', '"rows": 4'))
    with pytest.raises(BackupManifestError, match="another digest"):
        shelf.manifest(backup.id)


def test_manifest_when_moved_to_another_folder_then_it_is_refused(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    one, other = (shelved(tmp_path / "store", key, n) for n in (1, 2))
    (other.home / "manifest.json").write_bytes((one.home / "manifest.json").read_bytes())
    with pytest.raises(BackupManifestError, match=f"is that of {one.id}"):
        shelf.manifest(other.id)


def test_manifest_when_an_earlier_key_is_trusted_then_it_counts(tmp_path: Path, key: Path) -> None:
    backup = shelved(tmp_path / "store", key, 1)
    certificates.generate(tmp_path / "new")
    new = certificates.read_signing_key(tmp_path / "new")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(BackupSignatureError, match=r"backup\.trusted_keys"):
        Shelf(store, "shop", Trust(new)).manifest(backup.id)
    old = certificates.read_public_key(tmp_path / "key.pub")
    found = Shelf(store, "shop", Trust(new, (old,))).manifest(backup.id)
    assert found.signed_by == certificates.fingerprint(old)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a//b", "a/../../b", ".hidden", ""])
def test_part_when_its_name_leads_elsewhere_then_it_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        BackupPart(name=name, kind=PartKind.DATABASE, bytes=0, sha256="0" * 64)


def test_prune_when_none_is_proven_then_nothing_goes(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    for number in range(4):
        shelved(tmp_path / "store", key, number)
    report = shelf.prune(1, 1)
    assert report.deleted == ()
    assert "No backup is proven" in report.detail
    assert len(shelf.list().backups) == 4


def test_prune_when_the_newest_proven_one_is_old_then_it_stays(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    backups = [shelved(tmp_path / "store", key, number) for number in range(6)]
    prove(shelf, backups[0])
    prove(shelf, backups[1])
    prove(shelf, backups[3], problem="a row is missing")
    planned = shelf.prune(1, 1, dry_run=True)
    assert len(shelf.list().backups) == 6
    report = shelf.prune(1, 1)
    assert report.deleted == planned.deleted
    assert report.kept == (backups[5].id, backups[1].id)
    assert [one.id for one in shelf.list().backups] == [backups[5].id, backups[1].id]
    assert not backups[0].home.exists()


def test_prune_when_a_backup_is_not_ours_then_it_is_left(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    stranger, old, new = (shelved(tmp_path / "store", key, number) for number in range(3))
    stranger.seal(stranger.manifest, Trust())
    prove(shelf, new)
    report = shelf.prune(1, 1)
    assert (report.left, report.deleted) == ((stranger.id,), (old.id,))
    assert stranger.home.exists()


def test_prune_when_a_backup_was_broken_off_long_ago_then_it_goes(
    tmp_path: Path, key: Path, shelf: Shelf
) -> None:
    abandoned, sound = (shelved(tmp_path / "store", key, number) for number in (1, 2))
    (abandoned.home / "manifest.json").unlink()
    running = shelf.key("29990101T000000.000000Z-abcdef", "database/toc.dat")
    shelf.store.put_bytes(running, b"1")
    prove(shelf, sound)
    assert shelf.prune(1, 1).deleted == (abandoned.id,)
    assert [one.key for one in shelf.store.list(running)] == [running]


def test_configuration_when_carried_then_secrets_are_names_only(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_PASSWORD", "hunter-of-the-environment")
    dsn = "postgresql://failback:${SOURCE_PASSWORD}@127.0.0.1:1/app"
    text = CONFIGURATION.format(estate="shop", dsn=dsn, key=key, folder=tmp_path)
    text += "telemetry: {otlp_endpoint: 'http://user:hunter2@collector'}\n"
    text += "audit: {dsn: 'postgresql://a:plain-secret@127.0.0.1:1/app'}\n"
    path = tmp_path / "failback.yaml"
    path.write_text(text)
    data = without_secrets(path, load(path)).decode()
    for secret in ("hunter", "plain-secret", "postgresql://"):
        assert secret not in data
    carried = yaml.safe_load(data)
    assert carried["source"]["dsn"] == "left out: ${SOURCE_PASSWORD}"
    assert carried["audit"]["dsn"] == "left out"
    assert carried["telemetry"]["otlp_endpoint"] == "left out"
    assert carried["traffic"]["routes"] == {"database": [{"backend": "database"}]}


def test_estate_without_the_section_then_says_what_to_write(tmp_path: Path, key: Path) -> None:
    text = CONFIGURATION.format(estate="shop", dsn="dbname=app", key=key, folder=tmp_path)
    path = tmp_path / "failback.yaml"
    path.write_text(text.partition("backup:")[0])
    with pytest.raises(ConfigurationError, match="has no section backup"):
        open_backups(load(path), path)


def test_section_when_it_names_no_place_or_two_then_refused() -> None:
    with pytest.raises(ValueError, match="one place"):
        BackupConfig()
    with pytest.raises(ValueError, match="one place"):
        BackupConfig(folder=Path("a"), s3=S3Config(bucket="b"))
    with pytest.raises(ValueError, match="go together"):
        S3Config.model_validate({"bucket": "b", "access_key": "a"})


def test_bucket_when_it_offers_object_lock_then_every_object_is_held() -> None:
    store = S3Store(
        S3Config(
            bucket="b",
            endpoint="http://127.0.0.1:1",
            access_key=SecretStr("a"),
            secret_key=SecretStr("s"),
            lock_days=7,
        )
    )
    offered = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    held = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": ANY}
    with Stubber(store._client) as bucket:
        bucket.add_response("get_object_lock_configuration", offered, {"Bucket": "b"})
        for key in ("one", "two"):
            wanted = {"Bucket": "b", "Key": key, "Body": b"1", **held}
            bucket.add_response("put_object", {}, wanted)
            store.put_bytes(key, b"1")
        bucket.assert_no_pending_responses()
    store.close()


def test_take_when_the_work_folder_cannot_be_made_then_says_which_key(
    tmp_path: Path, key: Path
) -> None:
    text = CONFIGURATION.format(estate="shop", dsn="dbname=app", key=key, folder=tmp_path)
    path = tmp_path / "failback.yaml"
    path.write_text(f'{text}  work_directory: "{key}/below"\n')
    with pytest.raises(BackupError, match=r"backup\.work_directory"):
        opened(path).take()


def test_manifest_on_disk_then_it_is_json_with_a_signature(tmp_path: Path, key: Path) -> None:
    document = json.loads((shelved(tmp_path, key, 1).home / "manifest.json").read_text())
    assert sorted(document) == ["facts", "key", "sha256", "signature"]
    assert document["facts"]["kind"] == "failback backup"
