"""Secrets of accounts open only with their key and for their owner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.errors import Unavailable
from teleread.storage.sealing import Sealer

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


@given(st.text(max_size=64), st.text(min_size=1, max_size=32))
def test_a_sealed_text_comes_back_and_is_not_to_be_seen(text: str, owner: str) -> None:
    sealed = Sealer(KEY).seal(text, owner=owner)
    assert Sealer(KEY).open(sealed, owner=owner) == text
    assert len(text) < 4 or text not in sealed


def test_another_key_or_another_owner_opens_nothing() -> None:
    sealed = Sealer(KEY).seal("JBSWY3DPEHPK3PXP", owner="yamada")
    with pytest.raises(Unavailable):
        Sealer(OTHER_KEY).open(sealed, owner="yamada")
    with pytest.raises(Unavailable):
        Sealer(KEY).open(sealed, owner="suzuki")
