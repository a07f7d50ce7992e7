"""What a deep link says, written and read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiogram_neonpay.links import StartLink

stage_ids = st.text("abcXYZ019_-.", min_size=1, max_size=64)
words = st.text(min_size=1, max_size=64).filter(
    lambda text: bool(text.strip()) and all(ord(sign) >= 32 and not 0x7F <= ord(sign) <= 0x9F for sign in text)
)


@given(
    stage_ids,
    st.none() | words | st.integers(-(1 << 63), (1 << 63) - 1),
    st.none() | st.text("ABCXYZ019_-", min_size=1, max_size=32),
    st.none() | st.integers(1, 10**12),
)
def test_what_a_link_says_is_read_as_it_was_written(
    stage_id: str, ref: str | int | None, promo: str | None, amount: int | None
) -> None:
    link = StartLink(stage_id, ref, promo, amount)
    assert StartLink.load(link.dump()) == link
