"""Inline keyboards that sell: the plugin answers their buttons, in whichever chat they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from aiogram_neonpay.buttons import LONGEST_ID, MAX_PAGE, PageTap, StageTap, category_code, label_of, rows_of, shop_rows
from aiogram_neonpay.checks import check_amount, check_stage_id, check_text
from aiogram_neonpay.errors import StageNotFoundError, ValidationError
from aiogram_neonpay.serving import language_in_hand, neonpay_in_hand
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.texts import Texts

if TYPE_CHECKING:
    from aiogram_neonpay.core import NeonPay

__all__ = ["buy_keyboard", "catalog_keyboard", "donate_keyboard", "subscription_keyboard"]

MAX_BUTTONS = 100
"""Buttons that Telegram shows under one message."""
MAX_LABEL = 64
"""Characters on a button. Ours: clients cut off what is longer."""


def donate_keyboard(
    amounts: Sequence[int],
    *,
    stage_id: str = "donate",
    custom: bool | str = False,
    labels: Mapping[int, str] | Sequence[str] | None = None,
    language: str | None = None,
) -> InlineKeyboardMarkup:
    """Return a keyboard with a button for each amount; a tap is answered with an invoice of that many Stars.

    The stage needs ``price=None``: ``PaymentStage(title="Donate", description="...", price=None)``. In a group the
    invoice is for whoever taps.

    :param amounts: whole Stars, at least one amount, without repeats.
    :param stage_id: the stage to sell.
    :param custom: whether a last button lets the buyer write an amount in the chat, within the stage's ``min_price``
        and ``max_price``; a string is that button's text.
    :param labels: button texts by amount, or in the order of ``amounts``; ``"10 ⭐"`` for those not given.
    :param language: of the last button; that of the person whose update is handled when omitted.
    :raises ValidationError: for amounts or labels that cannot be shown.
    """
    check_stage_id(stage_id)
    spoken = _spoken(language)
    most = MAX_BUTTONS - 1 if custom else MAX_BUTTONS
    if isinstance(amounts, (str, bytes)) or not isinstance(amounts, Sequence) or not 1 <= len(amounts) <= most:
        raise ValidationError("amounts", f"must be a list of 1-{most} whole numbers of Stars", amounts)
    for amount in amounts:
        check_amount("amounts", amount)
    if len(set(amounts)) != len(amounts):
        raise ValidationError("amounts", "must not repeat", list(amounts))
    texts = _labels(labels, list(amounts), "amount")
    buttons = [
        _button(check_text("labels", texts.get(amount, f"{amount} ⭐"), MAX_LABEL), StageTap.data(stage_id, amount))
        for amount in amounts
    ]
    rows = rows_of(buttons)
    if custom is not False:
        if custom is not True:
            check_text("custom", custom, MAX_LABEL)
        says = custom if isinstance(custom, str) else _texts(None).get("other_amount", spoken)
        rows.append([_button(says, StageTap.data(stage_id, None))])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def buy_keyboard(
    *stage_ids: str,
    labels: Mapping[str, str] | Sequence[str] | None = None,
    neonpay: NeonPay | None = None,
    language: str | None = None,
) -> InlineKeyboardMarkup:
    """Return a keyboard with a button for each stage; a tap is answered with an invoice.

    A button says the stage's title and price. If the price is another one when the button is tapped, the person is told
    and gets an invoice of the new price. A stage with ``price=None`` asks for the amount in the chat, a subscription
    answers with the message that has its link.

    :param stage_ids: 1-100 stages.
    :param labels: button texts by stage id, or in the order of ``stage_ids``, in place of title and price.
    :param neonpay: where the stages are; in handlers the one that handles the update.
    :param language: of what buttons say; that of the person whose update is handled when omitted.
    :raises ValidationError: for ids or labels that cannot be shown.
    :raises StageNotFoundError: for a stage that is not in the catalog.
    """
    if not 1 <= len(stage_ids) <= MAX_BUTTONS:
        raise ValidationError("stage_ids", f"must be 1-{MAX_BUTTONS} ids of stages", stage_ids)
    for stage_id in stage_ids:
        check_stage_id(stage_id)
    if len(set(stage_ids)) != len(stage_ids):
        raise ValidationError("stage_ids", "must not repeat", list(stage_ids))
    given = _labels(labels, list(stage_ids), "stage id")
    rows = []
    for stage_id in stage_ids:
        stage = _stage(neonpay, stage_id)
        if stage_id in given:
            text = check_text("labels", given[stage_id], MAX_LABEL)
        elif stage is not None:
            text = label_of(stage, _texts(neonpay), _spoken(language))
        else:
            text = _texts(neonpay).get("buy_button", _spoken(language))
        rows.append([_button(text, StageTap.data(stage_id, None if stage is None else stage.price))])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def subscription_keyboard(
    stage_id: str,
    *,
    link: str | None = None,
    label: str | None = None,
    neonpay: NeonPay | None = None,
    language: str | None = None,
) -> InlineKeyboardMarkup:
    """Return a keyboard with the button that sells a subscription.

    Telegram sells subscriptions through links alone, and a link has to be asked of Telegram. Without ``link`` a tap is
    answered with a message that has one, made for the person who taps; that is right for groups, and for keyboards that
    stay. With ``link=await neonpay.create_link("club", user_id=...)`` the button opens the payment itself.

    :param label: what the button says; the price of a month when omitted.
    :param neonpay: where the stage is; in handlers the one that handles the update.
    :param language: of what the button says; that of the person whose update is handled when omitted.
    :raises ValidationError: for a stage that is no subscription, a label that cannot be shown, or a link that is none.
    :raises StageNotFoundError: for a stage that is not in the catalog.
    """
    check_stage_id(stage_id)
    if link is not None and (not isinstance(link, str) or not link.startswith("https://")):
        raise ValidationError("link", "must be the https address of an invoice: await neonpay.create_link(...)", link)
    stage = _stage(neonpay, stage_id)
    if stage is not None and not stage.subscription:
        raise ValidationError("stage_id", "must be of a subscription: PaymentStage(..., subscription=True)", stage_id)
    price = None if stage is None else stage.price
    if label is not None:
        text = check_text("label", label, MAX_LABEL)
    elif price is not None:
        text = _texts(neonpay).get("subscribe_button", _spoken(language), amount=price)
    else:
        text = stage.title if stage is not None else _texts(neonpay).get("buy_button", _spoken(language))
    if link is not None:
        return InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=text, url=link)]])
    return InlineKeyboardMarkup(inline_keyboard=[[_button(text, StageTap.data(stage_id, price))]])


def catalog_keyboard(
    neonpay: NeonPay, *, category: str | None = None, per_page: int = 6, language: str | None = None
) -> InlineKeyboardMarkup:
    """Return a keyboard with the stages on sale, a page of them, and buttons to the other pages and categories.

    Turning pages edits the keyboard in place; rows that the bot put above or below stay. Titles and prices are brought
    up to date with it, and stages that are gone go. Only stages of this process are listed, not those that a loader
    knows.

    :param category: show this category alone; otherwise all stages, with a button for each category there is.
    :param per_page: stages on one page, 1-50.
    :param language: of what buttons say; that of the person whose update is handled when omitted.
    :raises ValidationError: for a category that no stage has, or a size of pages that cannot be shown.
    """
    if isinstance(per_page, bool) or not isinstance(per_page, int) or not 1 <= per_page <= MAX_PAGE:
        raise ValidationError("per_page", f"must be a whole number from 1 to {MAX_PAGE}", per_page)
    stages = _shop(neonpay).list_payment_stages()
    known = sorted({stage.category for stage in stages.values() if stage.category is not None})
    if category is not None and category not in known:
        raise ValidationError(
            "category", f"must be a category of a stage: {', '.join(known) or 'there is none'}", category
        )
    shown = PageTap(
        category="" if category is None else category_code(category),
        fixed=category is not None,
        page=0,
        per_page=per_page,
    )
    return InlineKeyboardMarkup(inline_keyboard=shop_rows(stages, neonpay.texts, _spoken(language), shown))


def _labels(labels: object, things: list[Any], name: str) -> dict[Any, str]:
    """Return button texts by what they are for."""
    if labels is None:
        return {}
    if isinstance(labels, Mapping):
        strange = [thing for thing in labels if thing not in things]
        if strange:
            raise ValidationError("labels", f"must be for {name}s of the keyboard", strange)
        return dict(labels)
    if isinstance(labels, str) or not isinstance(labels, Sequence) or len(labels) != len(things):
        raise ValidationError("labels", f"must be {len(things)} texts, one for each {name}", labels)
    return dict(zip(things, labels, strict=True))


def _button(text: str, data: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data)


def _shop(given: NeonPay) -> NeonPay:
    """Return what was given as ``neonpay=``, unless it is something else."""
    if not isinstance(getattr(given, "texts", None), Texts):
        raise ValidationError("neonpay", "must be the NeonPay of the bot, injected or made by neonpay_router", given)
    return given


def _spoken(given: str | None) -> str | None:
    """Return the language of what buttons say."""
    if given is not None and not isinstance(given, str):
        raise ValidationError("language", 'must be a language code (str), such as "ru", or None', given)
    return given or language_in_hand()


def _stage(given: NeonPay | None, stage_id: str) -> PaymentStage | None:
    """Return a stage; nothing when no shop is known here, or when only its loader may know the stage."""
    neonpay = _shop(given) if given is not None else neonpay_in_hand()
    stage = None if neonpay is None else neonpay.get_payment_stage(stage_id)
    if stage is None and neonpay is not None:
        if neonpay._shop.catalog.is_static:
            raise StageNotFoundError(stage_id)
        if len(stage_id) > LONGEST_ID:
            raise ValidationError(
                "stage_id",
                f"must be at most {LONGEST_ID} bytes on a button of a stage that only a loader knows, "
                f"has {len(stage_id)}",
                stage_id,
            )
    return stage


def _texts(given: NeonPay | None) -> Texts:
    neonpay = _shop(given) if given is not None else neonpay_in_hand()
    return Texts() if neonpay is None else neonpay.texts
