"""`teleread-gateway`: enrol a box, run it, and look at what it does."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.layout import Layout
from gateway.settings import GatewaySettings, KnownSender, PACSTarget
from gateway.spool import Spool
from teleread import __version__, clock
from teleread.errors import InvalidInput, TelereadError, Unavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = parsed.command
    try:
        command(parsed)
    except TelereadError as problem:
        print(f"teleread-gateway: {problem.message}", file=sys.stderr)
        return 1
    return 0


def _language() -> str:
    """Return the language of the person at the terminal."""
    return "ja" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("ja") else "en"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="teleread-gateway", description="The box at the facility.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--data", type=Path, required=True, help="the gateway's folder")
        sub.set_defaults(command=command)
        return sub

    enrol = add("enrol", _enrol, "Enrol this box at the centre with a one-time code.")
    enrol.add_argument("url", help="address of the centre, https://…")
    enrol.add_argument("code", help="the one-time code that the centre printed")
    enrol.add_argument("--ae-title", default="TELEREAD", help="the gateway's AE title")
    enrol.add_argument("--port", type=int, default=11112, help="port of the DICOM listener")
    enrol.add_argument(
        "--known", action="append", default=[], metavar="TITLE@ADDRESS", help="an AE that may send"
    )
    enrol.add_argument(
        "--pacs", action="append", default=[], metavar="TITLE@HOST:PORT", help="an AE for reports"
    )
    enrol.add_argument("--deliver-folder", type=Path, help="folder for reports as PDF")
    enrol.add_argument("--quiet-seconds", type=float, help="quiet time after which a study is complete")

    enrol.add_argument(
        "--console-address", default="127.0.0.1", help="IP address that the facility's console listens on"
    )
    enrol.add_argument("--console-port", type=int, default=0, help="its port; 0 for no console")

    add("run", _run, "Run the gateway until SIGTERM.")
    for name, command in (("receive", _receive), ("work", _work), ("console", _console)):
        sub = add(name, command, f"The part of `run` that does the `{name}` role.")
        sub.add_argument("--supervised", action="store_true", help="end when standard input ends")

    status = add("status", _status, "Show every study's state.")
    status.add_argument("--json", action="store_true")
    held = add("held", _held, "Show what is held back and why, or decide about one instance of it.")
    held.add_argument("decision", nargs="?", choices=("retry", "discard", "release_as_is"))
    held.add_argument("number", nargs="?", type=int, help="the instance's number, as `held` shows it")
    held.add_argument("--reason", default="", help="why; needed for a decision, stays at the facility")
    held.add_argument("--by", default="", metavar="NAME", help="who decides; needed for a decision")
    held.add_argument("--json", action="store_true")
    held.add_argument("--language", choices=("ja", "en"), default=_language())

    describing = add("describe", _describe, "Say what is done with each attribute before anything leaves.")
    describing.add_argument("--language", choices=("ja", "en"), default=_language())

    importing = add("import", _import, "Take files from a disk or a folder.")
    importing.add_argument("path", type=Path)

    redteam = add(
        "redteam",
        _redteam,
        "Send canaries down this gateway's road into a scratch folder; 0 of them may leak.",
    )
    redteam.add_argument("--seed", type=int, default=1, help="the same number makes the same canaries")
    redteam.add_argument("--json", action="store_true")

    user = add("user", _user, "Add or disable a person at the console.")
    user.add_argument("action", choices=("add", "disable"))
    user.add_argument("username")
    user.add_argument("--name", help="the person's name, as pages show it")
    user.add_argument(
        "--role",
        action="append",
        default=[],
        choices=("operator", "doctor", "administrator"),
        help="may be given more than once",
    )
    user.add_argument("--language", choices=("ja", "en"), default="ja")
    user.add_argument("--json", action="store_true")

    vault = add("vault", _vault, "Back the vault up, or add what a backup has.")
    vault.add_argument("action", choices=("backup", "restore"))
    vault.add_argument("file", type=Path)
    return parser


def _enrol(parsed: argparse.Namespace) -> None:
    from gateway.enrol import Choices, enrol

    choices = Choices(
        ae_title=parsed.ae_title,
        port=parsed.port,
        known_senders=tuple(KnownSender.parse(text) for text in parsed.known),
        pacs=tuple(PACSTarget.parse(text) for text in parsed.pacs),
        deliver_folder=parsed.deliver_folder,
        quiet_seconds=parsed.quiet_seconds,
        console_address=parsed.console_address,
        console_port=parsed.console_port,
    )
    settings = enrol(parsed.url, parsed.code, parsed.data, choices, at=clock.now())
    print(f"enrolled as {settings.gateway_name} of {settings.facility_code}")


def _run(parsed: argparse.Namespace) -> None:
    from gateway import daemon, supervise

    settings = GatewaySettings.from_file(parsed.data)
    layout = Layout(settings.data)
    daemon.set_up_logging(layout, "run")
    stop = daemon.stopped_by_signals(supervised=False)
    with daemon.alone(layout, "run", stop):
        supervise.run(settings.data, stop, console=settings.console_port != 0)


def _receive(parsed: argparse.Namespace) -> None:
    from gateway import daemon

    _child(parsed, "receive", daemon.receive)


def _work(parsed: argparse.Namespace) -> None:
    from gateway import daemon

    _child(parsed, "work", daemon.work)


def _console(parsed: argparse.Namespace) -> None:
    from gateway import daemon
    from gateway.console.serve import serve

    settings = GatewaySettings.from_file(parsed.data)
    if settings.console_port == 0:
        raise InvalidInput("console_port", "is 0: this gateway has no console")
    layout = Layout(settings.data)
    daemon.set_up_logging(layout, "console")
    with daemon.alone(layout, "console", threading.Event()):
        serve(settings, supervised=parsed.supervised)


def _user(parsed: argparse.Namespace) -> None:
    from gateway.console.accounts import Accounts
    from gateway.console.store import ConsoleStore

    store = ConsoleStore(Layout(GatewaySettings.from_file(parsed.data).data))
    accounts = Accounts(store)
    try:
        if parsed.action == "disable":
            accounts.disable(parsed.username, by="command line", at=clock.now())
            print(f"{parsed.username} can no longer sign in")
            return
        made = accounts.add(
            parsed.username,
            parsed.name or parsed.username,
            parsed.role,
            language=parsed.language,
            by="command line",
            at=clock.now(),
        )
    finally:
        store.close()
    if parsed.json:
        print(json.dumps(asdict(made)))
        return
    print(f"password         {made.password}")
    print(f"authenticator    {made.totp_secret}")
    print(f"                 {made.totp_uri}")
    for code in made.recovery_codes:
        print(f"recovery code    {code}")
    print("This is shown once. Hand it over in person.")


def _child(parsed: argparse.Namespace, role: str, job: Callable[[GatewaySettings, Any], None]) -> None:
    from gateway import daemon

    settings = GatewaySettings.from_file(parsed.data)
    daemon.set_up_logging(Layout(settings.data), role)
    job(settings, daemon.stopped_by_signals(supervised=parsed.supervised))


def _open_spool(parsed: argparse.Namespace) -> Spool:
    settings = GatewaySettings.from_file(parsed.data)
    return Spool(Layout(settings.data), minimum_free_bytes=settings.minimum_free_bytes)


def _status(parsed: argparse.Namespace) -> None:
    from gateway.status import status_of

    spool = _open_spool(parsed)
    status = status_of(spool)
    spool.close()
    if parsed.json:
        print(json.dumps(status))
        return
    for entry in status["studies"]:
        held = sum(entry["held"].values())
        discarded = f", {entry['discarded']} discarded" if entry["discarded"] else ""
        reports = ", ".join(f"v{one['version']} {one['state']}" for one in entry["deliveries"]) or "no report"
        print(
            f"{entry['case_number'] or '--------'}  {entry['centre_study_uid'] or '(study not known)'}  "
            f"{entry['received']} received, {entry['stored']} stored, {entry['pending']} pending, "
            f"{held} held{discarded}; {reports}"
        )


def _held(parsed: argparse.Namespace) -> None:
    from gateway.status import held_of

    if parsed.decision:
        _decide(parsed)
        return
    spool = _open_spool(parsed)
    rows = held_of(spool, parsed.language)
    spool.close()
    if parsed.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['kind']} {row['number']}  {row['received_at']}  {row['reason']}: {row['text']}")
        print(
            f"    case {row['case_number'] or '(none yet)'}  study {row['facility_study_uid'] or '(not known)'}"
            + (f"  file {row['path']}" if row["path"] else "")
        )


def _decide(parsed: argparse.Namespace) -> None:
    from gateway.decisions import Decisions, checked_note
    from gateway.keys import GatewayKeys
    from gateway.vault import Vault

    if parsed.number is None:
        raise InvalidInput("number", "the instance's number is needed")
    who = parsed.by.strip()
    if not who:
        raise InvalidInput("by", "--by is needed: the name of the person who decides")
    note = checked_note(parsed.reason)
    profile = GatewaySettings.from_file(parsed.data).deidentification.profile
    spool = _open_spool(parsed)
    keys = GatewayKeys.load(spool.layout)
    vault = Vault(spool.layout.vault_database, keys.vault)
    try:
        decisions = Decisions(spool, vault, keys, now=clock.now, profile=profile)
        state = getattr(decisions, parsed.decision)(parsed.number, username=who, note=note)
    finally:
        vault.close()
        spool.close()
    print(f"instance {parsed.number} is now {state}")


def _describe(parsed: argparse.Namespace) -> None:
    from gateway.settings import FILE_NAME, Deidentification
    from teleread.dicom.deid.describe import describe

    # A folder that is not enrolled yet has the default: a privacy officer may ask before anything is set up.
    enrolled = (parsed.data / FILE_NAME).exists()
    chosen = GatewaySettings.from_file(parsed.data).deidentification if enrolled else Deidentification()
    sys.stdout.write(describe(chosen.profile, parsed.language))


def _import(parsed: argparse.Namespace) -> None:
    from gateway.importing import import_files

    spool = _open_spool(parsed)
    taken = import_files(parsed.path, spool, now=clock.now)
    spool.close()
    print(
        f"{taken} files taken; `held` shows which of them have to wait for a person, once they have been read"
    )


def _redteam(parsed: argparse.Namespace) -> None:
    from gateway.redteam import keep, run
    from gateway.settings import FILE_NAME

    enrolled = (parsed.data / FILE_NAME).exists()
    settings = GatewaySettings.from_file(parsed.data) if enrolled else None
    score = run(settings, seed=parsed.seed, now=clock.now)
    if enrolled:
        # What this finds counts like what the night finds.
        spool = _open_spool(parsed)
        try:
            keep(spool, score)
        finally:
            spool.close()
    leaked, late = score.count("leaked"), score.count("late")
    if parsed.json:
        print(json.dumps(score.to_json()))
    else:
        for one in score.verdicts:
            if one.verdict != "stopped":
                print(f"{one.verdict:8} {one.canary}  ({one.defence})  {one.state} {one.reason}".rstrip())
        print(f"{leaked} of {len(score.verdicts)} leaked, {late} were stopped by the last scan only")
    if leaked:
        raise Unavailable(f"{leaked} canaries leaked" + ("; sending is stopped" if enrolled else ""))


def _vault(parsed: argparse.Namespace) -> None:
    from gateway.keys import GatewayKeys
    from gateway.vault import Vault

    layout = Layout(GatewaySettings.from_file(parsed.data).data)
    vault = Vault(layout.vault_database, GatewayKeys.load(layout).vault)
    try:
        if parsed.action == "backup":
            vault.backup(parsed.file)
            print(f"{vault.counts()[1]} studies backed up; keep {layout.keys} apart and safe")
        else:
            print(f"{vault.restore(parsed.file)} studies came back")
    finally:
        vault.close()


if __name__ == "__main__":
    sys.exit(main())
