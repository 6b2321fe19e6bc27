"""Two factors are two kinds."""

import itertools

from teleread.domain.factors import Proof, are_two_kinds


def test_only_the_password_with_something_one_has_counts_as_two() -> None:
    for count in range(len(Proof) + 1):
        for proofs in itertools.combinations(Proof, count):
            assert are_two_kinds(proofs) == (Proof.PASSWORD in proofs and count >= 2), proofs


def test_one_proof_shown_twice_is_one() -> None:
    assert not are_two_kinds([Proof.PASSWORD, Proof.PASSWORD])
    assert not are_two_kinds([Proof.ONE_TIME_CODE, Proof.SECURITY_KEY])
