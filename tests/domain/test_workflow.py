"""The table of transitions: whole, reachable, without dead ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.access import Role
from teleread.domain.workflow import RESTING, ROWS, START, STATES, TRANSITIONS, Machine, Who, next_state
from teleread.errors import TransitionNotAllowed

MACHINES = list(Machine)


def test_no_state_and_event_stand_twice() -> None:
    assert len(ROWS) == len(TRANSITIONS)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_can_be_reached_from_the_start(machine: Machine) -> None:
    reached, fresh = set(), {START[machine]}
    while fresh:
        reached |= fresh
        fresh = {
            row.to for (of, state, _), row in TRANSITIONS.items() if of is machine and state in reached
        } - reached
    assert reached == set(STATES[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_no_state_is_a_dead_end_unless_a_thing_may_rest_there(machine: Machine) -> None:
    left = {state for (of, state, _) in TRANSITIONS if of is machine}
    assert set(STATES[machine]) - left <= RESTING[machine]
    assert RESTING[machine] <= set(STATES[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_a_resting_state_can_be_reached_from_every_state(machine: Machine) -> None:
    good = set(RESTING[machine])
    while True:
        more = {
            state for (of, state, _), row in TRANSITIONS.items() if of is machine and row.to in good
        } - good
        if not more:
            break
        good |= more
    assert good == set(STATES[machine])


def test_every_transition_has_somebody_who_may() -> None:
    assert all(row.who for _, row in ROWS)


def test_who_and_roles_use_the_same_words() -> None:
    relations = {Who.WORKER, Who.ASSIGNEE, Who.NAMED_DOCTOR, Who.TWO_FACILITY_PERSONS, Who.FACILITY_OPERATOR}
    assert {who.value for who in Who if who not in relations} <= {role.value for role in Role}


EVENTS = sorted({event for _, _, event in TRANSITIONS})
ALL_STATES = sorted({state for states in STATES.values() for state in states})


@given(
    machine=st.sampled_from(MACHINES),
    state=st.sampled_from(ALL_STATES),
    event=st.sampled_from(EVENTS),
    capacities=st.frozensets(st.sampled_from(list(Who))),
)
def test_only_what_stands_in_the_table_is_allowed(
    machine: Machine, state: str, event: str, capacities: frozenset[Who]
) -> None:
    row = TRANSITIONS.get((machine, state, event))
    if row is not None and row.who & capacities:
        assert next_state(machine, state, event, capacities) == row.to
    else:
        with pytest.raises(TransitionNotAllowed):
            next_state(machine, state, event, capacities)


@given(machine=st.sampled_from(MACHINES), events=st.lists(st.sampled_from(EVENTS), max_size=30))
def test_no_sequence_of_events_leaves_the_known_states(machine: Machine, events: list[str]) -> None:
    state = START[machine]
    for event in events:
        try:
            state = next_state(machine, state, event, list(Who))
        except TransitionNotAllowed:
            continue
        assert state in STATES[machine]


def test_nothing_leads_out_of_a_signed_text_but_supersession_and_retraction() -> None:
    out = {event for (of, state, event) in TRANSITIONS if of is Machine.REPORT_VERSION and state == "final"}
    assert out == {"supersede", "retract"}


def test_the_document_is_generated_from_the_table() -> None:
    document = Path(__file__).parents[2] / "docs" / "workflow.md"
    printed = subprocess.run(
        [sys.executable, "-m", "teleread.domain.workflow"], capture_output=True, text=True, check=True
    ).stdout
    assert document.read_text() == printed
