"""Named locks for the rest of a transaction, where a row to lock may not be there yet."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def lock(session: Session, name: str) -> None:
    """Wait until no other transaction holds the lock of this name; it is released with the transaction.

    SQLite has one writer at a time and needs nothing more.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def lock_study(session: Session, facility_id: int | None, study_instance_uid: str) -> None:
    """Wait until nobody else receives or signs this study. Taken before any other named lock."""
    lock(session, f"study {facility_id} {study_instance_uid}")
