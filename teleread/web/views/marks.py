"""Shape, colour and word of a state and of a priority (ui.md, section 6): four signs for one fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A sign: `shape` names a drawing of `_marks.html`, `colour` a token, `text_key` a text."""

    shape: str
    colour: str
    text_key: str


def _states(*rows: tuple[str, str]) -> dict[str, Mark]:
    return {name: Mark(name, colour, f"state.{name}") for name, colour in rows}


#: By the word of `domain.worklist.display_status`.
STATES: dict[str, Mark] = _states(
    ("received", "ink-2"),
    ("ready", "ink-2"),
    ("assigned", "teal"),
    ("reading", "teal"),
    ("held", "violet"),
    ("preliminary", "amber"),
    ("final", "green"),
    ("delivered", "green"),
    ("acknowledged", "green"),
    ("addended", "violet"),
    ("cancelled", "ink-3"),
    ("quarantined", "vermilion"),
) | {name: Mark("warning", "vermilion", f"state.{name}") for name in ("delivery_held", "delivery_failed")}

PRIORITIES: dict[str, Mark] = {
    "stroke": Mark("stroke", "vermilion", "priority.stroke"),
    "trauma": Mark("stroke", "vermilion", "priority.trauma"),
    "stat": Mark("stat", "vermilion", "priority.stat"),
    "urgent": Mark("urgent", "amber", "priority.urgent"),
    "routine": Mark("routine", "ink-2", "priority.routine"),
    "screening": Mark("screening", "ink-3", "priority.screening"),
}

#: Classes that stand at the top of every list, whatever their time (ui.md, section 7).
PINNED = frozenset({"stroke", "trauma", "stat"})

_UNKNOWN = Mark("warning", "amber", "state.unknown")


def state_mark(word: str) -> Mark:
    """Return the sign for a shown state; a word without a row is shown as unknown, never hidden."""
    return STATES.get(word.lower(), _UNKNOWN)


def priority_mark(priority: str) -> Mark:
    """Return the sign for a priority."""
    return PRIORITIES.get(priority, PRIORITIES["routine"])
