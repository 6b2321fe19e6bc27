"""`teleread`: runs a whole centre on one machine, and the acts of its operator."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from teleread import __version__, clock
from teleread.domain.access import PERSONS_ROLES, SCOPES, system_actor
from teleread.errors import TelereadError
from teleread.services import accounts, audit, facilities
from teleread.settings import ServerSettings
from teleread.storage.session import open_engine, transaction
from teleread.up import prepare, up

DEFAULT_PORT = 8443


def _settings(chosen: argparse.Namespace) -> ServerSettings:
    environment = dict(os.environ)
    if chosen.data is not None:
        environment["TELEREAD_DATA"] = os.fspath(chosen.data)
    return ServerSettings.from_env(environment)


def _up(chosen: argparse.Namespace) -> int:
    settings = _settings(chosen)
    return up(settings.data, os.environ, port=chosen.port, workers=chosen.workers, say=_say)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _facility_add(chosen: argparse.Namespace) -> int:
    with transaction(open_engine(_settings(chosen))) as session:
        facility = facilities.add_facility(
            session,
            code=chosen.code,
            name=chosen.name,
            language=chosen.language,
            quiet_seconds=chosen.quiet_seconds,
            actor=system_actor("operator"),
            at=clock.now(),
        )
        print(f"facility {facility.code} added")
    return 0


def _gateway_invite(chosen: argparse.Namespace) -> int:
    settings = _settings(chosen)
    with transaction(open_engine(settings)) as session:
        code = facilities.invite_gateway(
            session,
            facility_code=chosen.facility,
            name=chosen.name,
            settings=settings,
            actor=system_actor("operator"),
            at=clock.now(),
        )
    print(code)
    _say(
        f"one-time code for 24 hours. At the facility: teleread-gateway enrol {settings.public_url} CODE --data DIR"
    )
    return 0


def _gateway_revoke(chosen: argparse.Namespace) -> int:
    with transaction(open_engine(_settings(chosen))) as session:
        facilities.revoke_gateway(
            session,
            facility_code=chosen.facility,
            name=chosen.name,
            actor=system_actor("operator"),
            at=clock.now(),
        )
    print(f"gateway {chosen.name} of {chosen.facility} revoked")
    return 0


def _user_add(chosen: argparse.Namespace) -> int:
    with transaction(open_engine(_settings(chosen))) as session:
        new = accounts.create_user(
            session,
            username=chosen.username,
            display_name=chosen.name or chosen.username,
            roles=chosen.role,
            facility_code=chosen.facility,
            language=chosen.language,
            licence_number=chosen.licence,
            actor=system_actor("operator"),
            at=clock.now(),
        )
    print(f"password    {new.password}\nTOTP secret {new.totp_secret}\nTOTP URI    {new.totp_uri}")
    _say("shown once and kept nowhere in clear")
    return 0


def _token(chosen: argparse.Namespace) -> int:
    at = clock.now()
    with transaction(open_engine(_settings(chosen))) as session:
        text = accounts.create_token(
            session,
            name=chosen.name,
            scopes=chosen.scope,
            facility_code=chosen.facility,
            expires_at=at + timedelta(days=chosen.days),
            actor=system_actor("operator"),
            at=at,
        )
    print(text)
    return 0


def _db_upgrade(chosen: argparse.Namespace) -> int:
    settings = _settings(chosen)
    prepare(settings)
    print(f"{settings.data} is ready")
    return 0


def _audit_verify(chosen: argparse.Namespace) -> int:
    settings = _settings(chosen)
    with transaction(open_engine(settings), writes=False) as session:
        faults = audit.verify_chain(session, settings.audit_key())
    for fault in faults:
        print(f"record {fault.sequence}: {fault.kind}")
    print(f"{len(faults)} faults in the audit chain" if faults else "the audit chain is whole")
    return 1 if faults else 0


def _demo(arguments: list[str]) -> int:
    # A process of its own, as by `make demo`: the demo stands above this program and is not imported here.
    os.execv(sys.executable, [sys.executable, "-m", "teleread.demo.demo", *arguments])  # noqa: S606


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="teleread", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    groups = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        parent: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        does: Callable[[argparse.Namespace], int],
        text: str,
    ) -> argparse.ArgumentParser:
        made = parent.add_parser(name, help=text, description=text)
        made.add_argument("--data", type=Path, help="data folder of the centre; default: TELEREAD_DATA")
        made.set_defaults(does=does)
        return made

    def group(name: str, text: str) -> argparse._SubParsersAction[argparse.ArgumentParser]:
        return groups.add_parser(name, help=text).add_subparsers(required=True, metavar="COMMAND")

    starting = command(groups, "up", _up, "run a whole centre on this machine: Redis, web, workers")
    starting.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="people's listener; gateways use the next one"
    )
    starting.add_argument("--workers", type=int, default=1)

    adding = command(group("facility", "facilities"), "add", _facility_add, "register a facility")
    adding.add_argument("code", help="short code, letters and digits")
    adding.add_argument("name")
    adding.add_argument("--language", choices=("ja", "en"), default="ja")
    adding.add_argument(
        "--quiet-seconds", type=int, default=30, help="a study is stalled after so long without news"
    )

    gateways = group("gateway", "gateways")
    for name, does, text in (
        ("invite", _gateway_invite, "print a one-time code for a gateway"),
        ("revoke", _gateway_revoke, "refuse a gateway's certificate from now on"),
    ):
        made = command(gateways, name, does, text)
        made.add_argument("facility", help="code of the facility")
        made.add_argument("name", nargs="?", default="gateway1")

    user = command(
        group("user", "people"), "add", _user_add, "make a user; prints password and TOTP secret once"
    )
    user.add_argument("username")
    user.add_argument("--role", action="append", required=True, choices=sorted(PERSONS_ROLES))
    user.add_argument("--name", default="", help="as shown and printed")
    user.add_argument("--facility", help="code; for the role facility")
    user.add_argument("--language", choices=("ja", "en"), default="ja")
    user.add_argument("--licence", default="", help="number of the medical licence; for readers")

    token = command(groups, "token", _token, "print a bearer token for a DICOMweb client")
    token.add_argument("name")
    token.add_argument("--scope", action="append", required=True, choices=sorted(SCOPES))
    token.add_argument("--facility", help="limits the token to one facility; needed to store")
    token.add_argument("--days", type=int, default=1)

    command(
        group("db", "database"),
        "upgrade",
        _db_upgrade,
        "lay the data folder and bring the database up to date",
    )
    command(
        group("audit", "audit log"),
        "verify",
        _audit_verify,
        "check the audit chain from its beginning to its head",
    )

    # Its own program reads what follows, `--help` too; see `main`.
    groups.add_parser("demo", help="the whole road on this machine", add_help=False)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error of ours is one sentence and exit status 2."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["demo"]:
        return _demo(given[1:])
    chosen = _parser().parse_args(given)
    try:
        return int(chosen.does(chosen))
    except TelereadError as error:
        _say(f"teleread: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
