"""From nothing to the first report: six steps, each proved by what is in the centre."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, Role, require
from teleread.settings import ServerSettings
from teleread.storage.models.accounts import User
from teleread.storage.models.facilities import Facility, Gateway
from teleread.storage.models.records import AuditRecord
from teleread.storage.models.reports import ReportVersion
from teleread.storage.models.studies import Study


def steps(session: Session, settings: ServerSettings, *, actor: Actor) -> list[tuple[str, bool]]:
    """Return each step's name and whether it is done, in the order in which they are gone."""
    require(actor, Action.MANAGE_FACILITIES)

    def there(*conditions: object) -> bool:
        return bool(session.scalar(select(exists().where(*conditions))))  # type: ignore[arg-type]

    has_keys = settings.ca_certificate.is_file() and (settings.secrets / "audit.key").is_file()
    readers = [
        user.id for user in session.scalars(select(User).where(User.is_active)) if Role.READER in user.roles
    ]
    return [
        ("keys", has_keys),
        # A sign-in is recorded only when both factors were right.
        ("user", bool(readers) and there(AuditRecord.act == "sign_in")),
        ("facility", there(Facility.id > 0)),
        ("gateway", there(Gateway.last_seen_at.is_not(None), Gateway.revoked_at.is_(None))),
        ("study", there(Study.state == "complete")),
        ("report", there(ReportVersion.signed_at.is_not(None))),
    ]
