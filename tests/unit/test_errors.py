"""Errors say what happened to which object, and never show a secret."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest
from aiogram import Bot

import aiogram_neonpay
from aiogram_neonpay import errors
from aiogram_neonpay.errors import (
    DeliveryError,
    InvoiceError,
    NeonPayError,
    PaymentError,
    PaymentNotFoundError,
    RefundError,
    RejectPayment,
    StageNotFoundError,
    ValidationError,
)
from aiogram_neonpay.factory import neonpay_router
from aiogram_neonpay.invoices import Invoice, Offer, Seller
from aiogram_neonpay.payload import InvoiceToken, Signer
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import Catalog, PaymentStage

TOKEN = "42:AAH-this-is-the-token-of-the-bot-000"
SECRET = "the secret of this shop"
ALL = [getattr(errors, name) for name in errors.__all__]
STAGE = PaymentStage("Premium", "30 days", 25)


def shown(error: BaseException) -> str:
    """Return all of an error that could end in a log, its causes included."""
    texts = []
    at: BaseException | None = error
    while at is not None:
        texts += [str(at), repr(at), repr(at.args), repr(vars(at))]
        at = at.__cause__ or at.__context__
    return "\n".join(texts)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_is_one_of_ours_documented_and_public(error: type[Exception]) -> None:
    assert issubclass(error, NeonPayError)
    assert inspect.getdoc(error)
    assert getattr(aiogram_neonpay, error.__name__) is error


def test_a_failed_sale_or_refund_is_a_payment_error() -> None:
    for error in (StageNotFoundError, InvoiceError, PaymentNotFoundError, RefundError):
        assert issubclass(error, PaymentError)
    for name in ("BuyerUnreachableError", "InvoiceNotFoundError", "IdempotencyError"):
        assert issubclass(getattr(errors, name), InvoiceError)
    assert not issubclass(ValidationError, PaymentError)
    assert issubclass(ValidationError, ValueError)


def test_a_validation_error_tells_field_limit_and_value() -> None:
    error = ValidationError("title", "must not be blank", " ")

    assert (error.field, error.limit, error.value) == ("title", "must not be blank", " ")
    assert str(error) == "title: must not be blank; got ' '"


def test_a_long_value_is_cut_in_the_message_but_kept_whole() -> None:
    error = ValidationError("title", "must be short", "x" * 10_000)

    assert len(str(error)) < 200
    assert error.value == "x" * 10_000


def test_errors_name_the_object_and_the_next_step() -> None:
    missing = StageNotFoundError("premium")
    assert missing.stage_id == "premium"
    assert "create_payment_stage('premium', PaymentStage(...))" in str(missing)

    unknown = PaymentNotFoundError("stx" + "x" * 500)
    assert unknown.payment_id == "stx" + "x" * 500
    assert "user_id=" in str(unknown) and len(str(unknown)) < 250

    stopped = DeliveryError("9" * 17, "a filter stopped it")
    assert stopped.reference == "9" * 17
    assert str(stopped) == f"payment {'9' * 17}: a filter stopped it"

    assert RejectPayment("Sold out").reason == "Sold out"
    assert RejectPayment().reason == RejectPayment(None).reason == ""
    assert InvoiceError("wait", retry_after=5).retry_after == 5
    assert RefundError("wait").retry_after is None


@pytest.mark.parametrize("error", [InvoiceError("x", retry_after=3), RefundError("x", retry_after=3)])
def test_an_error_that_waits_says_how_long(error: Any) -> None:
    assert (str(error), error.retry_after) == ("x", 3)


@pytest.mark.parametrize("secret", ["short", "", 5, b"bytes of a secret"])
def test_a_bad_secret_is_refused_without_being_shown(secret: Any) -> None:
    for options in ({"secret": secret}, {"previous_secrets": [secret]}):
        with pytest.raises(ValidationError) as caught:
            neonpay_router(**options)
        assert "at least 16 characters" in str(caught.value)
        if secret:
            assert repr(secret) not in shown(caught.value)


def test_previous_secrets_given_as_one_string_are_not_shown() -> None:
    with pytest.raises(ValidationError, match="previous_secrets: must be a sequence of strings") as caught:
        neonpay_router(previous_secrets=SECRET)
    assert SECRET not in shown(caught.value)


def test_no_secret_shows_in_the_objects_authors_print() -> None:
    bot = Bot(TOKEN)
    pay = neonpay_router({"premium": STAGE}, bot=bot, secret=SECRET, previous_secrets=[SECRET + " before"])
    shop = Shop(Catalog({"premium": STAGE}), bot=bot, secret=SECRET)
    printed = [pay, shop, shop.signer(bot), Offer("premium", 7), STAGE, Seller(shop)]

    text = "".join(f"{one!r} {one!s}" for one in printed)

    assert TOKEN not in text and TOKEN.partition(":")[2] not in text
    assert SECRET not in text


@pytest.mark.asyncio
@pytest.mark.parametrize("option", ["payload", "prices", "currency", "provider_token"])
async def test_options_that_are_ours_are_refused_by_name_without_their_value(option: str) -> None:
    shop = Shop(Catalog({"premium": STAGE}), secret=SECRET)

    with pytest.raises(ValidationError, match=f"^{option}: is set by send_payment itself") as caught:
        await Seller(shop).send(Bot(TOKEN), 7, Offer("premium"), {option: "n1-a-payload-of-mine"})

    assert "n1-a-payload-of-mine" not in shown(caught.value)


def test_a_payload_that_is_too_long_is_refused_without_being_shown() -> None:
    signer = Signer(42, SECRET)
    fitting = signer.mint(InvoiceToken("0" * 18, 0, "premium", 25))

    with pytest.raises(ValidationError) as caught:
        signer.mint(InvoiceToken("0" * 18, 0, "premium", 25, metadata_json='{"a":"' + "x" * 100 + '"}'))

    assert fitting[:20] not in shown(caught.value)


def test_errors_survive_being_sent_between_processes() -> None:
    for error in (InvoiceError("x"), RefundError("x"), PaymentError("x"), RejectPayment("x")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


def test_what_telegram_is_told_is_not_part_of_what_is_printed() -> None:
    invoice = Invoice(Bot(TOKEN), STAGE, InvoiceToken("0" * 18, 0, "premium", 25), "n1-the-payload", None)

    assert invoice.parameters()["payload"] == "n1-the-payload"
    assert TOKEN not in repr(invoice)
