"""The signed invoice payload: what was minted comes back, and nothing else verifies."""

from __future__ import annotations

import hmac
import json
import string
from base64 import b64encode
from binascii import a2b_base64
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiogram_neonpay.checks import MAX_AMOUNT
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.payload import (
    MAX_PAYLOAD,
    PREFIX,
    InvoiceToken,
    Signer,
    claimed,
    dump_metadata,
    looks_ours,
    metadata_room,
    new_invoice_id,
)

BOT = 123456789
SECRET = "a secret of the shop"
NOW = 1_800_000_000
MAX_BUYER = 2**52 - 1
LAST_SECOND = 2**32 - 1
STAGE_CHARACTERS = string.ascii_letters + string.digits + "_-."
BASE64 = string.ascii_letters + string.digits + "+/"
SIGNER = Signer(BOT, SECRET)

stage_ids = st.text(STAGE_CHARACTERS, min_size=1, max_size=64)
amounts = st.integers(1, MAX_AMOUNT) | st.sampled_from([1, 2**32 - 1, 2**32, MAX_AMOUNT])
buyers = st.none() | st.integers(1, MAX_BUYER) | st.just(MAX_BUYER)
expiries = st.none() | st.integers(1, LAST_SECOND)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=4,
)
metadata = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), json_values, max_size=3)


def token(**fields: Any) -> InvoiceToken:
    values = {"invoice_id": f"{NOW:08x}" + "0f" * 5, "issued_at": NOW, "stage_id": "premium", "amount": 25, **fields}
    return InvoiceToken(**values)


@st.composite
def tokens(draw: st.DrawFn) -> InvoiceToken:
    """Any token that fits; metadata that does not fit is left out, as the seller does."""
    issued_at = draw(st.integers(0, LAST_SECOND))
    stage_id, amount, buyer, expires_at = draw(stage_ids), draw(amounts), draw(buyers), draw(expiries)
    attached = dump_metadata(draw(metadata))
    room = metadata_room(stage_id, amount, bound=buyer is not None, expires=expires_at is not None)
    return InvoiceToken(
        invoice_id=f"{issued_at:08x}" + draw(st.binary(min_size=5, max_size=5)).hex(),
        issued_at=issued_at,
        stage_id=stage_id,
        amount=amount,
        buyer=buyer,
        expires_at=expires_at,
        stored=draw(st.booleans()),
        metadata_json=attached if len(attached.encode()) <= room else "",
    )


FULL = token(buyer=MAX_BUYER, expires_at=NOW + 60, stored=True, metadata_json='{"ref":"⭐"}')
PLAIN = token()


# Round trips


@given(tokens())
@example(token(stage_id="s" * 64, amount=MAX_AMOUNT, buyer=MAX_BUYER, expires_at=LAST_SECOND, stored=True))
@example(token(stage_id=".", amount=1, buyer=1, expires_at=1))
def test_what_was_minted_is_verified_unchanged_within_the_limit(minted: InvoiceToken) -> None:
    payload = SIGNER.mint(minted)

    assert 1 <= len(payload.encode()) <= MAX_PAYLOAD
    assert looks_ours(payload)
    assert SIGNER.verify(payload) == minted


@given(stage_ids, amounts, st.booleans(), st.booleans(), st.sampled_from("a⭐я\N{MONEY BAG}"))
def test_metadata_of_exactly_the_room_fills_the_payload_to_its_last_byte(
    stage_id: str, amount: int, bound: bool, expires: bool, character: str
) -> None:
    buyer, expires_at = MAX_BUYER if bound else None, LAST_SECOND if expires else None
    room = metadata_room(stage_id, amount, bound=bound, expires=expires)
    frame = len('{"":""}')
    wide = len(character.encode())
    fill = character * ((room - frame) // wide) + "a" * ((room - frame) % wide)
    fitting = token(
        stage_id=stage_id, amount=amount, buyer=buyer, expires_at=expires_at, metadata_json=dump_metadata({"": fill})
    )

    payload = SIGNER.mint(fitting)

    assert len(payload.encode()) == MAX_PAYLOAD
    verified = SIGNER.verify(payload)
    assert verified == fitting and verified.metadata == {"": fill}
    with pytest.raises(ValidationError, match=r"metadata: must leave the payload within 128 bytes, it has 129"):
        SIGNER.mint(fitting._replace(metadata_json=dump_metadata({"": fill + "a"})))


def test_there_is_room_for_metadata_at_worst() -> None:
    assert metadata_room("s" * 64, MAX_AMOUNT, bound=True, expires=True) >= 8
    assert metadata_room("s" * 14, 25, bound=False, expires=False) >= 70


@given(metadata)
def test_metadata_comes_back_as_it_was(attached: dict[str, Any]) -> None:
    carried = token(metadata_json=dump_metadata(attached))

    assert carried.metadata == attached
    carried.metadata["mine"] = 1
    assert carried.metadata == attached, "every use gets a copy of its own"


def test_an_invoice_id_tells_when_it_was_issued_and_is_never_the_same() -> None:
    ids = {new_invoice_id(NOW + 0.9) for _ in range(100)}

    assert len(ids) == 100
    assert all(len(one) == 18 and int(one[:8], 16) == NOW for one in ids)
    verified = SIGNER.verify(SIGNER.mint(token(invoice_id=new_invoice_id(NOW))))
    assert verified is not None and verified.issued_at == NOW


def test_tokens_are_fixed_for_ever() -> None:
    """Invoices that were sent before an update of the package must stay payable."""
    payload = SIGNER.mint(FULL)

    assert payload == 'n1ByhrSdIADw8PDw8AAAAZBw////////9rSdI85AWS51hTgWpf8QFspremium{"ref":"⭐"}'


# The format


def parts(payload: str, minted: InvoiceToken) -> tuple[str, str, str]:
    """Return head, tag and tail of a payload as they are written."""
    end = len(payload) - len(minted.stage_id) - len(minted.metadata_json)
    return payload[: end - 16], payload[end - 16 : end], payload[end:]


def unpadded(raw: bytes) -> str:
    return b64encode(raw).rstrip(b"=").decode()


def signed(head: bytes, tail: str) -> str:
    """Return a genuine payload of any content, made from the documented format alone."""
    key = hmac.digest(SECRET.encode(), f"neonpay/1/{BOT}".encode(), "sha256")
    text = "n1" + unpadded(bytes((head[0], key[0] ^ key[-1])) + head[1:])
    return text + unpadded(blake2b((text + tail).encode(), digest_size=12, key=key).digest()) + tail


def plain_head(flags: int = 0) -> bytes:
    return bytes((flags,)) + bytes.fromhex(PLAIN.invoice_id) + (25).to_bytes(4, "big") + bytes((len("premium"),))


def test_a_token_is_made_as_documented() -> None:
    assert SIGNER.mint(PLAIN) == signed(plain_head(), "premium")


@pytest.mark.parametrize("flag", [0x40, 0x80])
def test_a_token_with_flags_of_a_later_version_is_refused(flag: int) -> None:
    assert SIGNER.verify(signed(plain_head(flag), "premium")) is None


# Alterations


def replaced(text: str, at: int, character: str) -> str:
    return text[:at] + character + text[at + 1 :]


@pytest.mark.parametrize("genuine", [PLAIN, FULL], ids=["plain", "full"])
def test_every_altered_character_is_refused(genuine: InvoiceToken) -> None:
    payload = SIGNER.mint(genuine)
    alphabet = f'{BASE64}-_=. \n\x00{{}}"⭐é\ud800１'

    for at, known in enumerate(payload):
        for character in alphabet:
            if character != known:
                assert SIGNER.verify(replaced(payload, at, character)) is None, (at, character)


@pytest.mark.parametrize("genuine", [PLAIN, FULL], ids=["plain", "full"])
def test_every_flipped_case_is_refused(genuine: InvoiceToken) -> None:
    payload = SIGNER.mint(genuine)

    for at, known in enumerate(payload):
        if known.swapcase() != known:
            assert SIGNER.verify(replaced(payload, at, known.swapcase())) is None, at
    assert SIGNER.verify(payload.upper()) is None
    assert SIGNER.verify(payload.lower()) is None


@pytest.mark.parametrize("genuine", [PLAIN, FULL], ids=["plain", "full"])
def test_every_truncation_insertion_and_exchange_is_refused(genuine: InvoiceToken) -> None:
    payload = SIGNER.mint(genuine)

    for at in range(len(payload)):
        assert SIGNER.verify(payload[:at]) is None
        assert SIGNER.verify(payload[at + 1 :]) is None
        assert SIGNER.verify(payload[:at] + payload[at + 1 :]) is None
        for character in "Aa0=⭐ ":
            assert SIGNER.verify(payload[:at] + character + payload[at:]) is None
        if at and payload[at - 1] != payload[at]:
            exchanged = payload[: at - 1] + payload[at] + payload[at - 1] + payload[at + 1 :]
            assert SIGNER.verify(exchanged) is None
    for more in ("A", "=", "==", " ", "\n", "\x00", "⭐", '{"admin":1}', payload):
        assert SIGNER.verify(payload + more) is None


@given(tokens(), st.data())
def test_any_other_spelling_of_the_base64_is_refused(genuine: InvoiceToken, data: st.DataObject) -> None:
    """Unpadded base64 has spare bits, and a lenient decoder skips what it does not know."""
    head, tag, tail = parts(SIGNER.mint(genuine), genuine)
    raw = a2b_base64(head[2:] + "===")
    for character in BASE64:
        spelled = head[:-1] + character
        if spelled != head and a2b_base64(spelled[2:] + "===") == raw:
            assert SIGNER.verify(spelled + tag + tail) is None
    if "+" in head + tag or "/" in head + tag:
        assert SIGNER.verify((head + tag).replace("+", "-").replace("/", "_") + tail) is None
    hole = data.draw(st.integers(2, len(head + tag)))
    skipped = data.draw(st.sampled_from("!*\n =-"))
    assert SIGNER.verify((head + tag)[:hole] + skipped + (head + tag)[hole:] + tail) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 1),
        ("stage_id", "sticker"),
        ("buyer", None),
        ("buyer", 7),
        ("expires_at", None),
        ("expires_at", LAST_SECOND),
        ("stored", False),
        ("metadata_json", '{"ref":"x"}'),
        ("metadata_json", ""),
    ],
)
def test_the_tag_of_one_offer_does_not_sign_another(field: str, value: Any) -> None:
    wanted = FULL._replace(**{field: value})
    head, _, tail = parts(SIGNER.mint(wanted), wanted)
    _, tag, _ = parts(SIGNER.mint(FULL), FULL)

    assert SIGNER.verify(head + tag + tail) is None


def test_the_tag_of_another_key_does_not_sign() -> None:
    head, _, tail = parts(SIGNER.mint(FULL), FULL)
    _, forged, _ = parts(Signer(BOT, "a key the forger made up").mint(FULL), FULL)

    assert SIGNER.verify(head + forged + tail) is None
    for tag in ("", "A" * 15, "A" * 16, "A" * 17):
        assert SIGNER.verify(head + tag + tail) is None


def test_stage_and_metadata_cannot_be_shifted_into_each_other() -> None:
    minted = token(stage_id="a", metadata_json='{"b":1}')
    head, tag, tail = parts(SIGNER.mint(minted), minted)
    raw = a2b_base64(head[2:] + "===")

    for length in range(256):
        if length != 1:
            assert SIGNER.verify("n1" + unpadded(raw[:-1] + bytes((length,))) + tag + tail) is None


# Other texts


@given(st.text(max_size=200) | st.text(BASE64, max_size=200))
@example("")
@example(PREFIX)
@example(PREFIX + "A" * 126)
@example(PREFIX + "\ud800" * 40)
@example(PREFIX + "=" * 40)
@example(PREFIX + "é" * 40)
@settings(max_examples=400)
def test_no_other_text_verifies_or_crashes(text: str) -> None:
    for payload in (text, PREFIX + text):
        assert SIGNER.verify(payload) is None


@given(st.binary(min_size=20, max_size=60), stage_ids)
def test_no_bytes_in_canonical_base64_verify_or_crash(raw: bytes, tail: str) -> None:
    for head in (raw, bytes((0, *raw[1:])), bytes((raw[0] & 0x0F, *raw[1:]))):
        assert SIGNER.verify(PREFIX + unpadded(head) + tail) is None


@pytest.mark.parametrize("payload", ["", "order-7", "n", "N1abc", "n2abc", "premium:25", '{"stage":"premium"}'])
def test_a_payload_of_another_program_does_not_look_ours(payload: str) -> None:
    assert not looks_ours(payload)


# Keys


def test_another_bots_token_is_refused_even_under_one_secret() -> None:
    assert Signer(BOT + 1, SECRET).verify(SIGNER.mint(PLAIN)) is None
    assert SIGNER.verify(Signer(BOT + 1, SECRET).mint(PLAIN)) is None


def test_another_secret_is_refused() -> None:
    assert SIGNER.verify(Signer(BOT, "a secret of another shop").mint(PLAIN)) is None
    assert SIGNER.verify(Signer(BOT, "").mint(PLAIN)) is None


def test_previous_secrets_and_old_tokens_of_the_bot_still_verify() -> None:
    old = [f"{BOT}:AAold-token", "the secret before", *(f"secret number {number}" for number in range(300))]
    signer = Signer(BOT, SECRET, old)

    for key in old:
        assert signer.verify(Signer(BOT, key).mint(FULL)) == FULL
    assert signer.verify(SIGNER.mint(FULL)) == FULL


def test_new_tokens_are_signed_with_the_current_key_alone() -> None:
    payload = Signer(BOT, SECRET, ["the secret before"]).mint(PLAIN)

    assert payload == SIGNER.mint(PLAIN)
    assert Signer(BOT, "the secret before").verify(payload) is None


def test_a_key_given_twice_does_no_harm() -> None:
    assert Signer(BOT, SECRET, [SECRET, SECRET]).verify(SIGNER.mint(PLAIN)) == PLAIN


def test_what_was_verified_is_remembered_and_a_refusal_is_not_mistaken_for_it() -> None:
    signer = Signer(BOT, SECRET)
    payload = signer.mint(PLAIN)

    for _ in range(3):
        assert signer.verify(payload) == PLAIN
        assert signer.verify(payload + "x") is None


def test_secrets_do_not_show_in_a_signer_or_its_tokens() -> None:
    shown = repr(SIGNER) + str(SIGNER) + repr(FULL) + SIGNER.mint(FULL)

    assert SECRET not in shown
    assert json.loads(FULL.metadata_json) == {"ref": "⭐"}


# Paid media


def test_a_payload_of_media_says_so_and_tells_what_it_claims_without_a_key() -> None:
    token = PLAIN._replace(media=True)
    payload = SIGNER.mint(token)

    assert SIGNER.verify(payload) == token
    assert claimed(payload) == token
    assert claimed(SIGNER.mint(PLAIN)) == PLAIN
    assert claimed(SIGNER.mint(FULL)) == FULL


@pytest.mark.parametrize("payload", ["", "n1", "n1A", "n1 ", "other", "n1é", "n1" + "\ud800" * 9, "n1AAAA"])
def test_what_cannot_be_a_token_claims_nothing_of_use(payload: str) -> None:
    assert claimed(payload) is None
