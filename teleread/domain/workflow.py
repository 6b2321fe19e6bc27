"""The workflow: every state machine of teleread in one table, and the function that reads it.

Anything that is not in the table raises TransitionNotAllowed. `docs/workflow.md` is generated from here:
``python -m teleread.domain.workflow > docs/workflow.md``.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from teleread.errors import TransitionNotAllowed


class Machine(StrEnum):
    """Things that have a state."""

    ORDER = "order"
    STUDY = "study"
    READING = "reading"
    REPORT_VERSION = "report_version"
    DELIVERY = "delivery"
    CRITICAL_FINDING = "critical_finding"
    SPOOL_ITEM = "spool_item"


class Who(StrEnum):
    """Capacities in which somebody may bring a transition about.

    Most are roles (`teleread.domain.access.Role`, same values). The others are relations to the thing itself,
    which the service that applies the event finds out.
    """

    SYSTEM = "system"
    READER = "reader"
    COORDINATOR = "coordinator"
    FACILITY = "facility"
    GATEWAY = "gateway"
    PRIVACY_OFFICER = "privacy_officer"
    MEDICAL_DIRECTOR = "medical_director"
    WORKER = "worker"
    ASSIGNEE = "assignee"
    NAMED_DOCTOR = "named_doctor"
    TWO_FACILITY_PERSONS = "two_facility_persons"
    FACILITY_OPERATOR = "facility_operator"


@dataclass(frozen=True)
class Transition:
    """Where an event leads.

    Parameters
    ----------
    to : str
        The next state.
    who : frozenset of Who
        Capacities that may bring it about; one is enough.
    guard : str
        What has to be true; the service checks it, the table says it.
    effect : str
        What else happens in the same transaction.
    """

    to: str
    who: frozenset[Who]
    guard: str
    effect: str


Key = tuple[Machine, str, str]

#: State that each machine starts in.
START: dict[Machine, str] = {
    Machine.ORDER: "open",
    Machine.STUDY: "receiving",
    Machine.READING: "waiting",
    Machine.REPORT_VERSION: "draft",
    Machine.DELIVERY: "pending",
    Machine.CRITICAL_FINDING: "raised",
    Machine.SPOOL_ITEM: "received",
}

#: States in which a thing may stay for ever; everywhere else something has still to happen.
RESTING: dict[Machine, frozenset[str]] = {
    Machine.ORDER: frozenset({"closed", "cancelled"}),
    Machine.STUDY: frozenset({"complete", "archived", "rejected"}),
    Machine.READING: frozenset({"completed", "cancelled"}),
    Machine.REPORT_VERSION: frozenset({"final", "superseded", "discarded", "entered_in_error"}),
    Machine.DELIVERY: frozenset({"delivered", "acknowledged", "superseded"}),
    Machine.CRITICAL_FINDING: frozenset({"closed", "withdrawn"}),
    Machine.SPOOL_ITEM: frozenset({"discarded", "purged"}),
}

Row = tuple[Key, Transition]


def _row(  # noqa: PLR0917 - the columns of the table
    machine: Machine, state: str, event: str, to: str, who: tuple[Who, ...], guard: str, effect: str
) -> Row:
    return (machine, state, event), Transition(to, frozenset(who), guard, effect)


# One line a transition, in the order of architecture.md section 5. Where several roles stand in a line, any of them may.
# fmt: off
ROWS: tuple[Row, ...] = (
    # order
    _row(Machine.ORDER, "open", "study_matched", "matched", (Who.SYSTEM, Who.COORDINATOR), "same facility; accession number or patient/procedure/date agree", "create reading (waiting)"),
    _row(Machine.ORDER, "matched", "study_unmatched", "open", (Who.COORDINATOR,), "no signed report", "cancel reading; audit both studies"),
    _row(Machine.ORDER, "matched", "report_signed", "reported", (Who.SYSTEM,), "newest report version is final", ""),
    _row(Machine.ORDER, "reported", "report_delivered", "closed", (Who.SYSTEM,), "every required destination delivered; no critical finding raised or notified", "stop the delivery clock"),
    _row(Machine.ORDER, "reported", "report_signed", "reported", (Who.SYSTEM,), "addendum or correction signed before the first was delivered", ""),
    _row(Machine.ORDER, "reported", "report_retracted", "matched", (Who.SYSTEM,), "newest signed version was retracted", "open a new reading"),
    _row(Machine.ORDER, "closed", "report_retracted", "matched", (Who.SYSTEM,), "newest signed version was retracted", "open a new reading"),
    _row(Machine.ORDER, "closed", "report_signed", "reported", (Who.SYSTEM,), "addendum or correction signed", "start a new delivery clock"),
    _row(Machine.ORDER, "open", "cancel", "cancelled", (Who.FACILITY, Who.COORDINATOR), "reason given", ""),
    _row(Machine.ORDER, "matched", "cancel", "cancelled", (Who.FACILITY, Who.COORDINATOR), "no signed report", "cancel reading; tell assignee"),
    # study
    _row(Machine.STUDY, "receiving", "manifest_met", "complete", (Who.SYSTEM,), "every instance of the manifest stored, checksum equal, de-identification check passed", "reading inputs_ready if matched"),
    _row(Machine.STUDY, "receiving", "stalled", "incomplete", (Who.SYSTEM,), "no instance for the facility's quiet time", "alert coordinator"),
    _row(Machine.STUDY, "incomplete", "manifest_met", "complete", (Who.SYSTEM,), "as for a study that is receiving; the manifest came late or was corrected", "reading inputs_ready if matched"),
    _row(Machine.STUDY, "incomplete", "instance_received", "receiving", (Who.GATEWAY,), "", ""),
    _row(Machine.STUDY, "incomplete", "accept_as_is", "complete", (Who.COORDINATOR,), "reason given", "note shown to the reader"),
    _row(Machine.STUDY, "complete", "instance_received", "receiving", (Who.GATEWAY,), "", 'revision + 1; flag an open reading "images added"'),
    _row(Machine.STUDY, "receiving", "phi_suspected", "quarantined", (Who.SYSTEM,), "verifier finds identity in header or pixels", "hide from DICOMweb; alert"),
    _row(Machine.STUDY, "incomplete", "phi_suspected", "quarantined", (Who.SYSTEM,), "verifier finds identity in header or pixels", "hide from DICOMweb; alert"),
    _row(Machine.STUDY, "complete", "phi_suspected", "quarantined", (Who.SYSTEM, Who.READER), "verifier finds identity in header or pixels, or a person reported it", "hide from DICOMweb; alert; signing blocked until cleared"),
    _row(Machine.STUDY, "quarantined", "cleared", "complete", (Who.PRIVACY_OFFICER,), "reason given", ""),
    _row(Machine.STUDY, "quarantined", "replaced", "receiving", (Who.GATEWAY,), "clean copy announced", "old instances removed, event kept"),
    _row(Machine.STUDY, "quarantined", "reject", "rejected", (Who.PRIVACY_OFFICER,), "reason given", "purge pixel data"),
    _row(Machine.STUDY, "complete", "archive", "archived", (Who.SYSTEM,), "order closed; retention passed", "move or purge blobs"),
    _row(Machine.STUDY, "archived", "restore", "complete", (Who.COORDINATOR,), "blobs still held", ""),
    # reading
    _row(Machine.READING, "waiting", "inputs_ready", "unassigned", (Who.SYSTEM,), "study complete and order matched", "start the TAT clock; auto-assign"),
    _row(Machine.READING, "waiting", "start_incomplete", "unassigned", (Who.READER, Who.COORDINATOR, Who.SYSTEM), "something readable is there", "badge: n of m instances; preliminary allowed; the promise's clock runs as the contract says"),
    _row(Machine.READING, "unassigned", "assign", "assigned", (Who.COORDINATOR, Who.SYSTEM, Who.READER), "reader licensed and credentialled for facility, modality and subspecialty; below load limit", "notify reader; set accept-by time"),
    _row(Machine.READING, "assigned", "assign", "assigned", (Who.COORDINATOR, Who.SYSTEM), "reader licensed and credentialled for facility, modality and subspecialty; below load limit", "notify both readers"),
    _row(Machine.READING, "assigned", "decline", "unassigned", (Who.ASSIGNEE,), "reason given", "exclude this reader for this reading"),
    _row(Machine.READING, "assigned", "assignment_expired", "unassigned", (Who.SYSTEM,), "accept-by time passed", "re-run assignment"),
    _row(Machine.READING, "assigned", "open", "in_progress", (Who.ASSIGNEE,), "", "create report draft; lock with owner"),
    _row(Machine.READING, "in_progress", "hold", "on_hold", (Who.ASSIGNEE,), "reason: priors, clinical history, technique", "ask the facility; pause the net TAT clock"),
    _row(Machine.READING, "on_hold", "resume", "in_progress", (Who.ASSIGNEE, Who.SYSTEM), "answer arrived or waived", "resume the clock"),
    _row(Machine.READING, "in_progress", "lease_expired", "unassigned", (Who.SYSTEM,), "no sign of life for the lease time, after a warning", "keep draft; notify assignee"),
    _row(Machine.READING, "in_progress", "release", "unassigned", (Who.ASSIGNEE, Who.COORDINATOR), "reason given", "keep draft, readable by the next reader"),
    _row(Machine.READING, "on_hold", "release", "unassigned", (Who.COORDINATOR,), "reason given", "resume the clock"),
    _row(Machine.READING, "in_progress", "report_signed", "completed", (Who.SYSTEM,), "report sign in the same transaction", "stop the TAT clock"),
    _row(Machine.READING, "waiting", "cancel", "cancelled", (Who.SYSTEM, Who.COORDINATOR), "order cancelled or study rejected", ""),
    _row(Machine.READING, "unassigned", "cancel", "cancelled", (Who.SYSTEM, Who.COORDINATOR), "order cancelled or study rejected", ""),
    _row(Machine.READING, "assigned", "cancel", "cancelled", (Who.SYSTEM, Who.COORDINATOR), "order cancelled or study rejected", "notify assignee"),
    _row(Machine.READING, "in_progress", "cancel", "cancelled", (Who.SYSTEM, Who.COORDINATOR), "no signed report", "draft kept in audit; notify assignee"),
    _row(Machine.READING, "on_hold", "cancel", "cancelled", (Who.SYSTEM, Who.COORDINATOR), "no signed report", "draft kept in audit; notify assignee"),
    # report version
    _row(Machine.REPORT_VERSION, "draft", "release_preliminary", "preliminary", (Who.ASSIGNEE,), "facility contract allows preliminary reads", "create deliveries; next draft version"),
    _row(Machine.REPORT_VERSION, "draft", "sign", "final", (Who.ASSIGNEE,), "required sections filled; re-authenticated; revision seen = newest, or the difference acknowledged; an incomplete study only as preliminary, or with the reader's stated reason", "freeze text, store digest, supersede the previous version, create deliveries"),
    _row(Machine.REPORT_VERSION, "draft", "discard", "discarded", (Who.ASSIGNEE, Who.SYSTEM), "", ""),
    _row(Machine.REPORT_VERSION, "preliminary", "supersede", "superseded", (Who.SYSTEM,), "a newer version is final", "mark differences for the facility"),
    _row(Machine.REPORT_VERSION, "final", "supersede", "superseded", (Who.SYSTEM,), "addendum (appended) or correction signed", ""),
    _row(Machine.REPORT_VERSION, "preliminary", "retract", "entered_in_error", (Who.MEDICAL_DIRECTOR,), "reason given", "notify facility; deliver the retraction"),
    _row(Machine.REPORT_VERSION, "final", "retract", "entered_in_error", (Who.MEDICAL_DIRECTOR,), "reason given (e.g. wrong patient)", "notify facility; deliver the retraction"),
    # delivery
    _row(Machine.DELIVERY, "pending", "package_built", "ready", (Who.WORKER,), "PDF and structured report rendered, digest recorded", ""),
    _row(Machine.DELIVERY, "ready", "handed_over", "in_transit", (Who.GATEWAY,), "gateway says the package is durable in its spool", ""),
    _row(Machine.DELIVERY, "in_transit", "delivered", "delivered", (Who.GATEWAY,), "C-STORE 0x0000, HL7 ACK AA, or file durable; receipt names the digest", "order report_delivered"),
    _row(Machine.DELIVERY, "in_transit", "identity_doubt", "held", (Who.GATEWAY,), "any of the right-patient checks disagrees", "alarm both sides; a critical finding in it starts the phone ladder at once"),
    _row(Machine.DELIVERY, "held", "released", "in_transit", (Who.TWO_FACILITY_PERSONS,), "reason given", ""),
    _row(Machine.DELIVERY, "held", "gave_up", "failed", (Who.FACILITY, Who.COORDINATOR), "reason given", "alert coordinator, phone the facility"),
    _row(Machine.DELIVERY, "in_transit", "attempt_failed", "retrying", (Who.GATEWAY,), "transient error", "next try time, back-off"),
    _row(Machine.DELIVERY, "retrying", "attempt_failed", "retrying", (Who.GATEWAY,), "tries left", "next try time, back-off"),
    _row(Machine.DELIVERY, "retrying", "delivered", "delivered", (Who.GATEWAY,), "C-STORE 0x0000, HL7 ACK AA, or file durable; receipt names the digest", "order report_delivered"),
    _row(Machine.DELIVERY, "in_transit", "gave_up", "failed", (Who.GATEWAY,), "permanent error (rejected by PACS/RIS)", "alert coordinator, phone the facility"),
    _row(Machine.DELIVERY, "retrying", "gave_up", "failed", (Who.GATEWAY, Who.SYSTEM), "no tries or time left", "alert coordinator, phone the facility"),
    _row(Machine.DELIVERY, "failed", "retry", "ready", (Who.COORDINATOR, Who.FACILITY), "cause noted", ""),
    _row(Machine.DELIVERY, "failed", "delivered_by_hand", "delivered", (Who.COORDINATOR,), "who, how, when noted", "order report_delivered"),
    _row(Machine.DELIVERY, "delivered", "acknowledge", "acknowledged", (Who.NAMED_DOCTOR,), "the person is the one named, not anyone who opened it", "stop the acknowledgement clock"),
    _row(Machine.DELIVERY, "pending", "supersede", "superseded", (Who.SYSTEM,), "newer version of the report ready for the same destination", ""),
    _row(Machine.DELIVERY, "ready", "supersede", "superseded", (Who.SYSTEM,), "newer version of the report ready for the same destination", ""),
    _row(Machine.DELIVERY, "failed", "supersede", "superseded", (Who.SYSTEM,), "newer version of the report ready for the same destination", ""),
    # critical finding
    _row(Machine.CRITICAL_FINDING, "raised", "notified", "notified", (Who.READER, Who.COORDINATOR), "who was told, how, when, read-back heard", "start the acknowledgement clock"),
    _row(Machine.CRITICAL_FINDING, "raised", "escalate", "raised", (Who.SYSTEM,), "not notified within the policy time, or the report does not come home", "next contact on the ladder"),
    _row(Machine.CRITICAL_FINDING, "notified", "escalate", "notified", (Who.SYSTEM,), "not acknowledged within the policy time, or the report does not come home", "next contact on the ladder"),
    _row(Machine.CRITICAL_FINDING, "notified", "acknowledge", "acknowledged", (Who.NAMED_DOCTOR,), "the person confirms; opening it is not enough", "stop the clock; order report_delivered where it waited for this"),
    _row(Machine.CRITICAL_FINDING, "acknowledged", "close", "closed", (Who.COORDINATOR, Who.FACILITY), "follow-up planned, or not needed with reason", ""),
    _row(Machine.CRITICAL_FINDING, "raised", "withdraw", "withdrawn", (Who.ASSIGNEE,), "raised in error; nobody told yet", "order report_delivered where it waited for this"),
    # spool item
    _row(Machine.SPOOL_ITEM, "received", "deidentified", "clean", (Who.GATEWAY,), "profile applied; identity link written to the vault first", ""),
    _row(Machine.SPOOL_ITEM, "received", "deid_failed", "held", (Who.GATEWAY,), "unknown SOP class, burned-in annotation, broken dataset", "show on the gateway status page; nothing leaves the facility"),
    _row(Machine.SPOOL_ITEM, "held", "retry", "received", (Who.FACILITY_OPERATOR,), "profile or file fixed", ""),
    _row(Machine.SPOOL_ITEM, "held", "release_masked", "clean", (Who.FACILITY_OPERATOR,), "mask drawn or confirmed", ""),
    _row(Machine.SPOOL_ITEM, "held", "release_as_is", "clean", (Who.FACILITY_OPERATOR,), "reason given", ""),
    _row(Machine.SPOOL_ITEM, "held", "discard", "discarded", (Who.FACILITY_OPERATOR,), "reason given", ""),
    _row(Machine.SPOOL_ITEM, "clean", "send_failed", "clean", (Who.GATEWAY,), "timeout, 5xx, no link", "attempt + 1, back-off with jitter"),
    _row(Machine.SPOOL_ITEM, "clean", "send_refused", "held", (Who.GATEWAY,), "4xx from the centre", "alert"),
    _row(Machine.SPOOL_ITEM, "clean", "acknowledged", "acknowledged", (Who.GATEWAY,), "2xx with the checksum the centre stored", ""),
    _row(Machine.SPOOL_ITEM, "acknowledged", "purge", "purged", (Who.GATEWAY,), "retention passed", "remove files, keep the row"),
)
# fmt: on

TRANSITIONS: dict[Key, Transition] = dict(ROWS)

#: Every state of a machine, the starting one first.
STATES: dict[Machine, tuple[str, ...]] = {
    machine: tuple(
        dict.fromkeys(
            [START[machine]]
            + [state for (of, start, _), row in ROWS if of is machine for state in (start, row.to)]
        )
    )
    for machine in Machine
}


def transition(machine: Machine, state: str, event: str) -> Transition:
    """Return the table's row, or raise TransitionNotAllowed if there is none."""
    row = TRANSITIONS.get((machine, state, event))
    if row is None:
        raise TransitionNotAllowed(
            f"a {machine.replace('_', ' ')} that is {state} knows no {event.replace('_', ' ')}"
        )
    return row


def next_state(machine: Machine, state: str, event: str, capacities: Iterable[str]) -> str:
    """Return the state that `event` leads to.

    Parameters
    ----------
    machine : Machine
    state, event : str
    capacities : iterable of str
        Values of `Who` that the actor has towards this thing: the roles held, and relations such as ``assignee``.

    Raises
    ------
    TransitionNotAllowed
        The table has no such row, or none of the capacities stands in it.
    """
    row = transition(machine, state, event)
    if row.who.isdisjoint(capacities):
        may = ", ".join(sorted(who.replace("_", " ") for who in row.who))
        raise TransitionNotAllowed(f"only {may} may {event.replace('_', ' ')} a {machine.replace('_', ' ')}")
    return row.to


def as_markdown() -> str:
    """Return the table as the text of `docs/workflow.md`."""
    lines = [
        "# Workflow",
        "",
        "Generated from `teleread/domain/workflow.py` by `python -m teleread.domain.workflow`; do not edit.",
        "Anything not in a table raises `TransitionNotAllowed`.",
    ]
    for machine in Machine:
        resting = ", ".join(f"`{state}`" for state in STATES[machine] if state in RESTING[machine])
        lines += [
            "",
            f"## {machine.replace('_', ' ').capitalize()}",
            "",
            f"Starts `{START[machine]}`; may rest in {resting}.",
            "",
            "| from | event | to | who may | guard | in the same transaction |",
            "|---|---|---|---|---|---|",
        ]
        for (of, state, event), row in ROWS:
            if of is machine:
                who = ", ".join(item.replace("_", " ") for item in Who if item in row.who)
                lines.append(
                    f"| `{state}` | `{event}` | `{row.to}` | {who} | {row.guard or '–'} | {row.effect or '–'} |"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
