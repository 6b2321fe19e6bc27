"""What a person at the facility decides about an instance that is held."""

from dataclasses import dataclass
from datetime import datetime

from gateway.deidentify import StudySummary, clean_file, columns_of, link_study
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.spool import Spool, move
from gateway.vault import Vault
from teleread.dicom.deid.deidentify import DeidResult
from teleread.domain.workflow import Machine, Who, next_state
from teleread.errors import InvalidInput, NotAllowed, NotFound

DECISIONS = ("retry", "discard", "release_as_is")
"""Events of the machine `spool_item` that a person brings about."""


@dataclass(frozen=True)
class Decision:
    """Who decided what about which item, and why. The reason stays at the facility."""

    event: str
    item: int
    reason: str
    by: str

    def __post_init__(self) -> None:
        for field, value in (("reason", self.reason), ("by", self.by)):
            if not value.strip() or len(value) > 500:
                raise InvalidInput(field, f"--{field} is needed, up to 500 characters")


def decide(spool: Spool, layout: Layout, decision: Decision, *, at: datetime) -> str:
    """Carry a decision out and return the item's new state.

    Released as it is, an instance is de-identified like every other; only the risk of identity in the image
    itself, at which the person has looked, no longer holds it.

    Raises
    ------
    NotFound, TransitionNotAllowed, InvalidInput
        There is no such item, it is not held, or the decision says no reason or no name.
    NotAllowed
        Something else than a look at the image holds it; the item stays held.
    LinkDoubt
        The vault is not certain whose it is; the item stays held.
    """
    row = spool.connection.execute("SELECT * FROM item WHERE id = ?", (decision.item,)).fetchone()
    if row is None:
        raise NotFound(f"there is no instance {decision.item}")
    next_state(Machine.SPOOL_ITEM, row["state"], decision.event, (Who.FACILITY_OPERATOR,))
    released = (
        _released(spool, layout, row["id"], row["sha256"]) if decision.event == "release_as_is" else None
    )
    with spool.writing() as connection:
        columns = columns_of(connection, *released) if released else {}
        state = move(
            connection,
            Machine.SPOOL_ITEM,
            decision.item,
            decision.event,
            at=at,
            who=Who.FACILITY_OPERATOR,
            actor=decision.by.strip(),
            note=decision.reason.strip(),
            detail="",
            attempts=0,
            next_try_at=0,
            **columns,
        )
        # What the centre was told of the study no longer holds.
        connection.execute(
            "UPDATE study SET settled = 0, manifest_due_at = 0 WHERE id = (SELECT study_id FROM item WHERE id = ?)",
            (decision.item,),
        )
    return state


def _released(spool: Spool, layout: Layout, item: int, sha256: str) -> tuple[DeidResult, StudySummary]:
    keys = GatewayKeys.load(layout)
    vault = Vault(layout.vault_database, keys.vault)
    target = spool.clean_path(item)
    try:
        result, summary = clean_file(
            spool.received_path(sha256), target, keys.facility, pixels_looked_at=True
        )
        if result.outcome != "clean":
            raise NotAllowed(f"a look at the image is not enough: {result.reason}")
        try:
            link_study(vault, result)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    finally:
        vault.close()
    return result, summary
