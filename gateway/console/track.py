"""Where a study is between the scanner and the doctor: five discs on a line."""

from dataclasses import dataclass

STEPS = ("received", "sent", "read", "reported", "acknowledged")

# How far the centre has come, by the word of its lists (`teleread.domain.worklist.DisplayStatus`).
_READ = frozenset({"final", "addended", "delivered", "acknowledged", "delivery_held", "delivery_failed"})


@dataclass(frozen=True)
class Disc:
    """One step: `past`, `now`, `held` or `next`, and the key of the word under it."""

    step: str
    look: str
    word: str


@dataclass(frozen=True)
class Counts:
    """How many items of a study are in each state of the spool."""

    received: int = 0
    clean: int = 0
    held: int = 0
    acknowledged: int = 0
    discarded: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.received + self.clean + self.held + self.acknowledged + self.discarded


def track_of(
    counts: Counts, *, uploaded: bool, display_status: str, deliveries: tuple[str, ...]
) -> tuple[Disc, ...]:
    """Return the five discs of a study.

    Parameters
    ----------
    counts : Counts
    uploaded : bool
        The centre has acknowledged everything that may leave, and the study is closed.
    display_status : str
        The centre's word for the case; empty when it has not been asked yet.
    deliveries : tuple of str
        States of the study's report packages here, in order of arrival.
    """
    here = _place(counts, uploaded, display_status, deliveries)
    discs = []
    for number, step in enumerate(STEPS):
        if number < here[0]:
            discs.append(Disc(step, "past", f"track.{step}"))
        elif number == here[0]:
            discs.append(Disc(step, here[1], here[2]))
        else:
            discs.append(Disc(step, "next", f"track.{step}"))
    return tuple(discs)


def _place(
    counts: Counts, uploaded: bool, display_status: str, deliveries: tuple[str, ...]
) -> tuple[int, str, str]:
    """Return which disc it is at, how that looks, and the key of its word."""
    newest = deliveries[-1] if deliveries else ""
    if display_status == "acknowledged":
        return 4, "past", "track.acknowledged"
    if newest or display_status in _READ:
        return _BY_DELIVERY.get(
            newest or _DELIVERY_SAID.get(display_status, ""), (3, "now", "track.delivering")
        )
    if uploaded:
        return _at_centre(display_status)
    if counts.clean or (counts.acknowledged and not counts.received and not counts.held):
        return 1, "now", "track.sending"
    if counts.received or not counts.total:
        return 0, "now", "track.receiving"
    return 0, "held", "track.held" if counts.held else "track.withheld"


_BY_DELIVERY = {
    "delivered": (4, "now", "track.unacknowledged"),
    "held": (3, "held", "track.identity_doubt"),
    "failed": (3, "held", "track.failed"),
}


#: What the centre's word says of a delivery of which this box has no package yet.
_DELIVERY_SAID = {"delivery_held": "held", "delivery_failed": "failed"}


def _at_centre(display_status: str) -> tuple[int, str, str]:
    if display_status in {"", "received"}:
        return 2, "now", "track.at_centre"
    look = "held" if display_status in {"held", "cancelled"} else "now"
    return 2, look, f"state.{display_status}"
