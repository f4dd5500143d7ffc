"""`failback certificate …`: make keys, check certificates, and show them to people."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from failback import certificates
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, opened
from failback.cli.writing import fact, heading
from failback.errors import CertificateError
from failback.models.certificate import Certificate, CertificateCheck
from failback.models.common import Outcome, Payload

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The certificate.")]


class KeyPair(Payload):
    """Where a new key pair is."""

    signing_key: str
    public_key: str
    fingerprint: str


@app.command()
def keygen(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The private key's new file.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make an Ed25519 key pair: PATH for the worker, PATH.pub for everybody who checks."""
    session = opened(ctx, config, as_json)
    public = certificates.generate(path)
    made = KeyPair(
        signing_key=str(path),
        public_key=str(public),
        fingerprint=certificates.fingerprint(certificates.read_public_key(public)),
    )

    def write(console: Console) -> None:
        heading(console, f"A key pair was made: {made.fingerprint}")
        fact(console, "signing key", f"{made.signing_key}: for the worker's user alone")
        fact(console, "public key", f"{made.public_key}: give it to whoever checks certificates")

    session.output.show(made, write)
    return ExitCode.DONE


@app.command()
def verify(
    ctx: typer.Context,
    path: FileArgument,
    key: Annotated[Path, typer.Option("--key", help="The public key of who signed it.")],
    estate: Annotated[
        str | None, typer.Option("--estate", help="It must be of this estate.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check that a certificate is as it was signed, to the byte. Exits 1 where it is not."""
    session = opened(ctx, config, as_json)
    public = certificates.read_public_key(key)
    checked = certificates.check(certificates.read_file(path), public, estate)
    session.output.show(checked, lambda console: _write_check(console, path, checked))
    return ExitCode.DONE if checked.valid else ExitCode.FAILED


@app.command()
def show(
    ctx: typer.Context,
    path: FileArgument,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Check it with this public key first.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page for people to this file.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what a certificate says. Without --key nothing about it is checked."""
    session = opened(ctx, config, as_json)
    if key is not None:
        public = certificates.read_public_key(key)
        checked = certificates.check(certificates.read_file(path), public)
        if checked.certificate is None:
            raise CertificateError(f"{path} is not valid. {checked.problem}")
        found, named = checked.certificate, checked.key
    else:
        found, named = certificates.read_unchecked(path)
    if html is not None:
        _write_html(found, named, html, checked=key is not None)
        session.output.note(f"Page written to {html}.")
    session.output.show(
        found, lambda console: _write_facts(console, found, named, checked=key is not None)
    )
    return ExitCode.DONE


def _write_check(console: Console, path: Path, checked: CertificateCheck) -> None:
    if checked.certificate is None:
        heading(console, f"{path} is not valid", Outcome.FAILED)
        fact(console, "problem", checked.problem, "red")
        return
    _write_facts(console, checked.certificate, checked.key, checked=True)


def _write_facts(console: Console, found: Certificate, key: str, *, checked: bool) -> None:
    verdict = "valid" if checked else "not checked"
    heading(
        console,
        f"{found.rows:,} rows in {len(found.tables)} tables were the same on both sides",
        Outcome.SUCCEEDED if checked else None,
    )
    fact(console, "signature", f"{verdict}, key {key}")
    fact(console, "estate", f"{found.estate}, rollback {found.rollback_id}")
    window = f"{found.fenced.start:%F %T.%f} to {found.fenced.end:%T.%f} UTC"
    fact(console, "fenced", f"{window}, both sides, before and after")
    fact(console, "position", found.position or "unknown")
    parts = f"{found.chunks_verified:,} parts read in that time"
    if found.chunks_by_ledger:
        parts += f", {found.chunks_by_ledger:,} unchanged since {found.ledger_oldest_at:%F %T} UTC"
    fact(console, "compared", parts)
    table = Table(box=None, padding=(0, 2))
    for name in ("table", "rows", "digest"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for one in found.tables:
        table.add_row(one.table, f"{one.rows:,}", one.source_digest)
    console.print(table)
    if found.rules:
        fact(console, "held", ", ".join(found.rules))


def _write_html(found: Certificate, key: str, path: Path, *, checked: bool) -> None:
    from failback.reports.certificate import render  # noqa: PLC0415 - jinja is not for --help

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(found, key, checked=checked), encoding="utf-8")
    except OSError as error:
        raise CertificateError(
            f"The page cannot be written to {path}: {error.strerror}.",
            "Name a file in a folder that you may write to.",
        ) from error
