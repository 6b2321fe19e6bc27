"""What counts as two factors: two different kinds, not two steps of one kind."""

from collections.abc import Iterable
from enum import StrEnum


class Kind(StrEnum):
    """Of what a proof consists."""

    KNOWLEDGE = "knowledge"
    POSSESSION = "possession"
    INHERENCE = "inherence"


class Proof(StrEnum):
    """What a person can show."""

    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    ONE_TIME_CODE = "one_time_code"
    SECURITY_KEY = "security_key"
    RECOVERY_CODE = "recovery_code"


#: A recovery code stands for the lost telephone: printed and kept, it is something one has.
KIND_OF: dict[Proof, Kind] = {
    Proof.PASSWORD: Kind.KNOWLEDGE,
    Proof.ONE_TIME_CODE: Kind.POSSESSION,
    Proof.SECURITY_KEY: Kind.POSSESSION,
    Proof.RECOVERY_CODE: Kind.POSSESSION,
}


def are_two_kinds(proofs: Iterable[Proof]) -> bool:
    """Say whether the proofs are of at least two kinds (guideline 6.0 of the Ministry of Health)."""
    return len({KIND_OF[proof] for proof in proofs}) >= 2
