"""Certificates: valid as they were signed, and not with one byte changed."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from failback import certificates
from failback.cli.entry import run
from failback.errors import CertificateError
from failback.models.certificate import Certificate, certified
from failback.models.common import Outcome
from failback.models.sync import RuleResult, TableDigest, VerifyReport
from failback.providers.evidence import FileEvidence
from failback.reports.certificate import render
from failback.sections.proof import CertificatesConfig

NOW = datetime(2026, 11, 24, 7, 30, 0, 123456, tzinfo=UTC)
REPORT = VerifyReport(
    outcome=Outcome.SUCCEEDED,
    exact=True,
    started_at=NOW,
    ended_at=NOW + timedelta(milliseconds=20),
    seconds=0.02,
    position="0/16B3748",
    tables=(
        TableDigest(
            table='public.<b>"ü"',
            source_rows=1234567,
            target_rows=1234567,
            source_digest="0f" * 16,
            target_digest="0f" * 16,
        ),
    ),
    rules=(RuleResult(name="no orphans", violations=0),),
    chunks_verified=2,
    chunks_by_ledger=98,
    ledger_oldest_at=NOW - timedelta(minutes=5),
)


def facts(**changed: Any) -> Certificate:
    return certified(
        REPORT, estate="shop", rollback_id="shop-7", issued_at=NOW, software="failback 0.1.0"
    ).model_copy(update=changed)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    path = tmp_path_factory.mktemp("keys") / "signing.key"
    return path, certificates.generate(path)


@pytest.fixture
def signed(keys: tuple[Path, Path], tmp_path: Path) -> Path:
    path = tmp_path / "certificate.json"
    path.write_bytes(certificates.sign(facts(), certificates.read_signing_key(keys[0])))
    return path


def valid(data: bytes, keys: tuple[Path, Path], estate: str | None = None) -> bool:
    return certificates.check(data, certificates.read_public_key(keys[1]), estate).valid


def test_certificate_when_checked_then_it_says_what_was_signed(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    checked = certificates.check(signed.read_bytes(), certificates.read_public_key(keys[1]), "shop")
    assert checked.valid
    assert checked.certificate == facts()
    assert checked.certificate.rows == 1234567
    assert checked.certificate.rules == ("no orphans",)


def test_certificate_when_any_byte_is_changed_then_it_is_not_valid(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    data = signed.read_bytes()
    for place in range(len(data)):
        for changed in {data[place] ^ 1, ord("0"), ord(" "), data[place] ^ 0x20} - {data[place]}:
            assert not valid(data[:place] + bytes([changed]) + data[place + 1 :], keys), place
        assert not valid(data[:place] + data[place + 1 :], keys), place
        assert not valid(data[:place] + b" " + data[place:], keys), place
    assert not valid(data + b"\n", keys)
    assert valid(data, keys)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"rows": 1234567,', '"rows": 1234567.0,'),
        ('"rows": 1234567,', '"rows": 1234567,\n      "rows": 1234567,'),
        ('"estate": "shop"', '"estate": "\\u0073hop"'),
        ('{\n  "certificate"', '{\n  "also": 1,\n  "certificate"'),
        ('"kind": "failback certificate"', '"kind": "failback certificate", "x": 1'),
        ("\n", "\r\n"),
        ('"missing": 0', '"missing": -0'),
    ],
)
def test_certificate_when_it_reads_the_same_but_is_written_otherwise_then_it_is_not_valid(
    signed: Path, keys: tuple[Path, Path], old: str, new: str
) -> None:
    text = signed.read_text()
    assert old in text
    assert not valid(text.replace(old, new).encode(), keys)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b"1e999"])
def test_file_when_it_is_no_certificate_then_it_is_not_valid(
    data: bytes, keys: tuple[Path, Path]
) -> None:
    assert not valid(data, keys)


def test_certificate_when_of_another_estate_or_key_then_it_is_not_valid(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    data = signed.read_bytes()
    assert not valid(data, keys, "other")
    assert not valid(data, (keys[0], certificates.generate(tmp_path / "other.key")), "shop")


def test_signature_when_of_the_same_bytes_for_another_purpose_then_it_does_not_count(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    document = json.loads(signed.read_text())
    key = certificates.read_signing_key(keys[0])
    bare = key.sign(certificates.canonical(document["certificate"]))
    document["signature"] = __import__("base64").b64encode(bare).decode()
    assert not valid(certificates._written(document), keys)


def test_key_pair_when_made_then_only_its_owner_may_read_the_private_one(
    keys: tuple[Path, Path],
) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    with pytest.raises(CertificateError, match="exists"):
        certificates.generate(keys[0])


def test_signing_key_when_others_may_read_it_then_it_is_refused(tmp_path: Path) -> None:
    certificates.generate(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(CertificateError, match="others"):
        certificates.read_signing_key(tmp_path / "key")


@pytest.mark.parametrize("changed", [{"exact": False}, {"outcome": Outcome.FAILED}])
def test_report_when_not_exact_or_not_equal_then_nothing_is_signed(
    keys: tuple[Path, Path], tmp_path: Path, changed: dict[str, Any]
) -> None:
    report = REPORT.model_copy(update=changed)
    with pytest.raises(ValueError, match="exact"):
        certified(report, estate="a", rollback_id="b", issued_at=NOW, software="c")
    config = CertificatesConfig(signing_key=keys[0], directory=tmp_path / "certificates")
    assert FileEvidence("shop", config).certify(report, "shop-7").path == ""
    assert not config.directory.exists()


def test_evidence_when_written_then_the_file_is_valid(
    keys: tuple[Path, Path], tmp_path: Path
) -> None:
    config = CertificatesConfig(signing_key=keys[0], directory=tmp_path / "certificates")
    attested = FileEvidence("shop", config).certify(REPORT, "shop-7")
    assert attested.detail == ""
    assert valid(Path(attested.path).read_bytes(), keys, "shop")
    assert [path.name for path in config.directory.iterdir()] == [Path(attested.path).name]


@pytest.mark.parametrize("broken", ["key", "directory"])
def test_evidence_when_it_cannot_be_written_then_that_is_a_result(
    keys: tuple[Path, Path], tmp_path: Path, broken: str
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    config = CertificatesConfig(
        signing_key=tmp_path / "missing" if broken == "key" else keys[0],
        directory=occupied / "certificates" if broken == "directory" else tmp_path,
    )
    attested = FileEvidence("shop", config).certify(REPORT, "shop-7")
    assert attested.path == ""
    assert "No certificate" in attested.detail


def test_page_when_rendered_then_it_escapes_and_says_whether_it_was_checked() -> None:
    page = render(facts(), "SHA256:x", checked=True)
    assert "public.&lt;b&gt;" in page
    assert '<b>"ü"' not in page
    assert "SIGNATURE CHECKED" in page
    assert "1,234,567" in page
    assert "SIGNATURE NOT CHECKED" in render(facts(), "SHA256:x", checked=False)


class TestCommands:
    def test_keygen_then_verify_and_show(
        self, signed: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: Any
    ) -> None:
        assert run(["certificate", "keygen", str(tmp_path / "new.key")]) == 0
        assert "SHA256:" in capsys.readouterr().out
        asked = ["certificate", "verify", str(signed), "--key", str(keys[1]), "--estate"]
        assert run([*asked, "shop"]) == 0
        assert "1,234,567 rows" in capsys.readouterr().out
        assert run([*asked, "other", "--json"]) == 1
        document = json.loads(capsys.readouterr().out)
        assert document["valid"] is False
        assert "estate shop" in document["problem"]
        page = tmp_path / "page.html"
        assert run(["certificate", "show", str(signed), "--html", str(page)]) == 0
        assert "SIGNATURE NOT CHECKED" in page.read_text()
        assert "not checked" in capsys.readouterr().out

    def test_verify_when_one_digit_is_changed_then_exits_1(
        self, signed: Path, keys: tuple[Path, Path], capsys: Any
    ) -> None:
        signed.write_text(signed.read_text().replace("1234567", "1234568"))
        assert run(["certificate", "verify", str(signed), "--key", str(keys[1])]) == 1
        assert "changed" in capsys.readouterr().out

    def test_verify_when_the_key_is_none_then_says_so(self, signed: Path, capsys: Any) -> None:
        assert run(["certificate", "verify", str(signed), "--key", str(signed)]) == 1
        assert "no public Ed25519 key" in capsys.readouterr().err
