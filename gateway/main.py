"""`teleread-gateway`: enrol a box, run it, and look at what it does."""

import argparse
import getpass
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.layout import Layout
from gateway.settings import GatewaySettings, KnownSender, PACSTarget
from gateway.spool import Spool
from teleread import __version__, clock
from teleread.errors import InvalidInput, TelereadError, Unavailable

if TYPE_CHECKING:
    from collections import Counter

    from gateway.importing import Patient

_Command = Callable[[argparse.Namespace], None]
_Add = Callable[[str, _Command, str], argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parsed = _parser().parse_args(arguments)
    command: _Command = parsed.command
    try:
        command(parsed)
    except TelereadError as problem:
        print(f"teleread-gateway: {problem.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("teleread-gateway: interrupted; the command can be said again", file=sys.stderr)
        return 130
    return 0


def _language() -> str:
    """Return the language of the person at the terminal."""
    return "ja" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("ja") else "en"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="teleread-gateway", description="The box at the facility.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: _Command, text: str) -> argparse.ArgumentParser:
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

    _add_folders(add)

    importing = add(
        "import",
        _import,
        "Take files from a folder, a CD (with or without DICOMDIR) or a ZIP. It can be said again after an interruption.",
    )
    importing.add_argument("path", type=Path)
    importing.add_argument(
        "--patient",
        action="append",
        default=[],
        metavar="ID",
        help="take this patient's files only; may be repeated",
    )
    importing.add_argument(
        "--all-patients",
        action="store_true",
        help="take a medium with several patients, after a look at the list",
    )
    importing.add_argument(
        "--all-files", action="store_true", help="take what is not DICOM too: it is held and counted"
    )

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

    _add_vault(add)
    return parser


def _add_folders(add: _Add) -> None:
    out = add(
        "deidentify",
        _deidentify,
        "De-identify a folder by the very road of the gateway, without sending; no enrolment is needed. Exit status:"
        " 0 when the report is whole, held and refused files included; 1 when it could not be done.",
    )
    back = add(
        "reidentify",
        _reidentify,
        "Bring de-identified objects back by the vault, or by the Encrypted Attributes that they carry. Exit status:"
        " 0 when the report is whole, 1 when it could not be done.",
    )
    for sub in (out, back):
        sub.add_argument("source", type=Path, metavar="IN_DIR")
        sub.add_argument("target", type=Path, metavar="OUT_DIR", help="new or empty")
    out.add_argument("--report", type=Path, required=True, metavar="FILE.json")
    out.add_argument(
        "--options",
        metavar="CODES",
        help="options of PS3.15 by their codes of CID 7050 with commas between, in place of the reading profile's",
    )
    back.add_argument("--report", type=Path, metavar="FILE.json", help="default: OUT_DIR.json beside OUT_DIR")
    back.add_argument(
        "--key", type=Path, metavar="FILE", help="private key (PEM) of the hospital's own certificate"
    )
    back.add_argument("--certificate", type=Path, metavar="FILE", help="that certificate (PEM)")


def _add_vault(add: _Add) -> None:
    vault = add("vault", _vault, "Back the vault up, add what a backup has, or change its key.")
    vault.add_argument("action", choices=("backup", "restore", "rotate"))
    vault.add_argument("file", type=Path, nargs="?", help="the backup; `rotate` needs none")
    vault.add_argument(
        "--keys",
        type=Path,
        metavar="FILE",
        help="also write the keys to this file, or take them from it, under a passphrase",
    )
    vault.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="where the passphrase stands; else it is asked for",
    )

    originals = add("originals", _originals, "Choose whether objects carry their originals, sealed.")
    originals.add_argument("action", choices=("on", "off", "show"))
    originals.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="PEM with the certificates of those who will be able to open them; the gateway's own by default",
    )


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
    vault = Vault.of(spool.layout, keys)
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


def _deidentify(parsed: argparse.Namespace) -> None:
    from gateway.folders import deidentify_folder, write_report
    from teleread.dicom.deid.profile import READING_PROFILE, Option, Profile

    profile = READING_PROFILE
    if parsed.options is not None:
        try:
            profile = Profile(frozenset(Option(code) for code in parsed.options.split(",") if code))
        except ValueError:
            known = ", ".join(option.value for option in Option)
            raise InvalidInput("--options", f"has a code that is not one of {known}") from None
    report = deidentify_folder(parsed.source, parsed.target, parsed.data, profile=profile)
    write_report(parsed.report, report)


def _reidentify(parsed: argparse.Namespace) -> None:
    from gateway.folders import reidentify_folder, write_report
    from teleread.dicom.deid.encrypted import RecipientKey

    key = None
    if parsed.key is not None or parsed.certificate is not None:
        if parsed.key is None or parsed.certificate is None:
            raise InvalidInput("--key", "--key and --certificate belong together")
        try:
            key = RecipientKey(parsed.key.read_bytes(), parsed.certificate.read_bytes())
        except OSError:
            raise InvalidInput("--key", "key or certificate cannot be read") from None
    report = reidentify_folder(parsed.source, parsed.target, parsed.data, key=key)
    write_report(parsed.report or parsed.target.with_name(parsed.target.name + ".json"), report)


def _import(parsed: argparse.Namespace) -> None:
    from gateway.importing import SeveralPatients, import_medium

    with closing(_open_spool(parsed)) as spool:
        try:
            summary = import_medium(
                parsed.path,
                spool,
                now=clock.now,
                patients=parsed.patient,
                all_patients=parsed.all_patients,
                all_files=parsed.all_files,
            )
        except SeveralPatients as mixed:
            _print_patients(mixed.patients)
            raise InvalidInput("medium", f"{mixed.reason}. Say --patient ID, or --all-patients") from None
    _print_patients(summary.patients)
    for line in summary.lines():
        print(line)
    if summary.taken:
        print("`held` shows what has to wait for a person, once the files have been read")


def _print_patients(patients: "Counter[Patient]") -> None:
    for patient, files in sorted(patients.items(), key=lambda one: (one[0].patient_id, one[0].issuer)):
        # A medium is from outside: nothing in an ID may steer the terminal.
        words = f"{patient.patient_id} ({patient.issuer})" if patient.issuer else patient.patient_id
        print(
            f"patient {words.encode('unicode_escape').decode('ascii') if not words.isprintable() else words}: {files} files"
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
    from gateway import daemon
    from gateway.durable import write_file
    from gateway.keys import GatewayKeys, keys_on_sheet, sheet_of, take_keys
    from gateway.vault import Vault

    layout = Layout(GatewaySettings.from_file(parsed.data).data)
    if parsed.file is None and parsed.action != "rotate":
        raise InvalidInput("file", "name the backup")
    if parsed.action == "rotate":
        with ExitStack() as standing_still:
            for role in ("run", "receive", "work", "console"):
                standing_still.enter_context(
                    daemon.alone(layout, role, threading.Event(), patience_seconds=0)
                )
            vault = standing_still.enter_context(closing(Vault.of(layout, GatewayKeys.load(layout))))
            print(f"{vault.rotate(layout)} entries sealed by a new key; make a new backup, of the keys too")
        return
    if parsed.action == "restore" and parsed.keys is not None:
        content = keys_on_sheet(parsed.keys, _passphrase(parsed))
        layout.make()
        with closing(Vault.of(layout, GatewayKeys.make(layout))) as vault:
            nothing_linked = vault.counts() == (0, 0)
        if nothing_linked:
            # It has been sealed by a key that goes, and holds nothing.
            Vault.remove_empty(layout)
        take_keys(layout, content, nothing_linked=nothing_linked)
    keys = GatewayKeys.load(layout)
    with closing(Vault.of(layout, keys)) as vault:
        if parsed.action == "restore":
            print(
                f"{vault.restore(parsed.file, keys=(keys.vault, *keys.other_vault_keys))} studies came back"
            )
            return
        vault.backup(parsed.file)
        print(f"{vault.counts()[1]} studies backed up; keep {layout.keys} apart and safe")
        if parsed.keys is not None:
            write_file(parsed.keys, sheet_of(layout, _passphrase(parsed)))
            print(
                f"the keys are in {parsed.keys}; whoever has both files and the passphrase knows every patient"
            )


def _passphrase(parsed: argparse.Namespace) -> str:
    if parsed.passphrase_file is not None:
        try:
            return str(parsed.passphrase_file.read_text("utf-8")).strip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise InvalidInput("passphrase_file", "cannot be read") from None
    if not sys.stdin.isatty():
        raise InvalidInput("passphrase_file", "is needed where nobody can be asked")
    return getpass.getpass("passphrase: ")


def _originals(parsed: argparse.Namespace) -> None:
    from gateway.keys import attributes_key, seal_no_originals, seal_originals_for
    from teleread.dicom.deid.encrypted import make_recipient, read_recipients

    settings = GatewaySettings.from_file(parsed.data)
    layout = Layout(settings.data)
    recipients = layout.keys / "recipients.pem"
    if parsed.action == "off":
        seal_no_originals(layout)
    elif parsed.action == "on" and parsed.certificate is not None:
        try:
            pem = parsed.certificate.read_bytes()
        except OSError:
            raise InvalidInput("certificate", "cannot be read") from None
        read_recipients(pem)
        seal_originals_for(layout, None, pem)
    elif parsed.action == "on":
        own, made = attributes_key(layout), None
        if own is None:
            own = made = make_recipient(f"originals of {settings.facility_code}", at=clock.now())
        seal_originals_for(layout, made, own.certificate_pem)
    if not recipients.exists():
        print("off: objects that leave carry no originals")
        return
    for certificate in read_recipients(recipients.read_bytes()):
        print(f"on: sealed for {certificate.subject.rfc4514_string()}, number {certificate.serial_number:x}")
    if parsed.action == "on":
        print("A gateway that runs does so from its next start.")


if __name__ == "__main__":
    sys.exit(main())
