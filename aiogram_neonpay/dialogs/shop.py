"""``shop_dialog``: a catalog by categories and pages, a page for each product, thanks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiogram.enums import ContentType
from aiogram.fsm.state import StatesGroup
from aiogram.types import CallbackQuery
from aiogram_dialog import Dialog, DialogManager, Window
from aiogram_dialog.api.entities import MediaAttachment
from aiogram_dialog.api.internal import RawKeyboard, TextWidget
from aiogram_dialog.widgets.kbd import Button, Cancel, Column, ScrollingGroup, Select
from aiogram_dialog.widgets.media import DynamicMedia
from aiogram_dialog.widgets.text import Format

from aiogram_neonpay.checks import check_text
from aiogram_neonpay.dialogs.parts import (
    Buttons,
    Teller,
    assemble,
    check_page,
    check_states,
    date_of,
    switch,
    text_or,
)
from aiogram_neonpay.dialogs.states import ShopStates
from aiogram_neonpay.dialogs.texts import PhraseText, as_text, price_of
from aiogram_neonpay.dialogs.visiting import PAYMENT
from aiogram_neonpay.dialogs.widgets import Buy, DonateCounter, OnPaid, ShownStage, StageSelect
from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.stages import PaymentStage

__all__ = ["StagesGetter", "shop_dialog"]

StagesGetter = Callable[..., Awaitable[Mapping[str, PaymentStage]]]
"""Gives the stages to show; called with aiogram's handler data by name, as getters of windows are."""
CATEGORY, STAGE = "category", "stage_id"
"""Where the dialog's data hold what was chosen."""


class _Pages(ScrollingGroup):
    """The group whose pager has no button that leads nowhere, and says where the reader is."""

    async def _render_pager(self, pages: int, manager: DialogManager) -> RawKeyboard:
        keyboard = await super()._render_pager(pages, manager)
        if len(keyboard) != 1 or len(keyboard[0]) != 5:
            return keyboard  # there is none, or another version of aiogram-dialog draws it otherwise
        first, before, here, after, last = keyboard[0]
        page = min(pages - 1, await self.get_page(manager))
        here.text = f"{page + 1}/{pages}"
        return [[*([first, before] if page > 0 else []), here, *([after, last] if page < pages - 1 else [])]]


class _Shop:
    """Gives the windows of a shop their data.

    :param category: the only category to show.
    """

    def __init__(self, category: str | None, stages: StagesGetter | None) -> None:
        self._category = category
        self._stages = stages

    async def _shown(self, teller: Teller) -> list[ShownStage]:
        if self._stages is not None:
            known = await self._stages(**{**teller.manager.middleware_data, "dialog_manager": teller.manager})
        else:
            known = teller.neonpay.list_payment_stages()
        return [
            ShownStage(stage_id, stage)
            for stage_id, stage in known.items()
            if stage.on_sale and (self._category is None or stage.category == self._category)
        ]

    async def catalog(self, teller: Teller) -> dict[str, Any]:
        """Return the categories to choose from, or the stages."""
        shown = await self._shown(teller)
        categories = list(dict.fromkeys(item.stage.category for item in shown if item.stage.category is not None))
        several = len(categories) > 1
        chosen = teller.data.get(CATEGORY) if several else None
        if chosen not in categories:
            chosen = None
        choosing = several and chosen is None
        if several:  # those without a category stand beside the categories
            shown = [item for item in shown if item.stage.category == chosen]
        heading = teller.say("shop_choose_category" if choosing else "shop_choose")
        if not shown and not choosing:
            heading = teller.say("shop_empty")
        return {
            "categories": list(enumerate(categories)) if choosing else [],
            "category": chosen,
            "stages": shown,
            "heading": heading if chosen is None else f"{chosen}\n\n{heading}",
        }

    async def choose_category(self, callback: CallbackQuery, widget: Any, manager: DialogManager, number: str) -> None:
        """Show one category."""
        categories = (await self.catalog(Teller.of(manager)))["categories"]
        manager.dialog_data[CATEGORY] = dict(categories).get(int(number))
        await _first_page(manager)

    async def product(self, teller: Teller) -> dict[str, Any]:
        """Return what is to be told of the chosen stage."""
        stage_id = teller.data.get(STAGE) or _started_with(teller, STAGE)
        stage = dict(await self._shown(teller)).get(stage_id)
        if stage is None:
            sorry = {"title": teller.say("stage_not_found"), "description": "", "price": "", "owned": "", "buy": ""}
            return {STAGE: "", "stage": None, "is_sold": False, "is_chosen": False, "photo": None, **sorry}
        price = price_of(teller.neonpay, stage, teller.language)
        key = "subscribe_button" if stage.subscription else "product_buy_button"
        return {
            STAGE: stage_id,
            "stage": stage,
            "title": stage.title,
            "description": stage.description,
            "price": price,
            "owned": await _owned(teller, stage),
            "buy": "" if stage.price is None else teller.say(key, price=price, amount=stage.price),
            "is_sold": stage.price is not None,
            "is_chosen": stage.price is None,
            "photo": MediaAttachment(ContentType.PHOTO, url=stage.photo_url) if stage.photo_url else None,
        }

    async def paid(self, teller: Teller) -> dict[str, Any]:
        """Return what is to be told of the payment."""
        payment = teller.data.get(PAYMENT) or _started_with(teller, PAYMENT) or {}
        return {
            PAYMENT: payment,
            "title": payment.get("title", ""),
            "stars": teller.stars(payment.get("amount", 0)),
            "reference": payment.get("reference", ""),
        }


def _started_with(teller: Teller, name: str) -> Any:
    start_data = teller.manager.start_data
    return start_data.get(name) if isinstance(start_data, dict) else None


async def _owned(teller: Teller, stage: PaymentStage) -> str:
    if stage.access is None:
        return ""
    access = await teller.neonpay.access(teller.user_id, stage.access, bot=teller.bot)
    if access is None:
        return ""
    if access.left is not None:
        return teller.say("product_owned_uses", n=access.left)
    if access.expires_at is None:
        return teller.say("product_owned")
    return teller.say("product_owned_until", until=date_of(teller, access.expires_at))


async def _first_page(manager: DialogManager) -> None:
    pages = manager.find("pages")
    if pages is not None:
        await pages.set_page(0)


async def _choose_all(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
    manager.dialog_data.pop(CATEGORY, None)
    await _first_page(manager)


def shop_dialog(
    *,
    category: str | None = None,
    stages: StagesGetter | None = None,
    per_page: int = 5,
    on_paid: OnPaid | None = None,
    buttons: Buttons = (),
    catalog_text: str | TextWidget | None = None,
    product_text: str | TextWidget | None = None,
    paid_text: str | TextWidget | None = None,
    windows: Sequence[Window] = (),
    states: type[StatesGroup] = ShopStates,
    **dialog_options: Any,
) -> Dialog:
    """Return a dialog that sells the catalog: ``await dialog_manager.start(ShopStates.catalog)``.

    Categories, if the stages have several, then products in pages, then the page of a product with its photo, price and
    a button to buy; after the payment thanks and the receipt's number. To open the page of a product at once, start
    ``ShopStates.product`` with ``data={"stage_id": "premium"}``.

    What a payment brings is delivered as everywhere: by ``@pay.completed``, by what a stage gives access to, or by
    ``on_paid``.

    :param category: only stages of this category.
    :param stages: ``async (**data) -> {stage id: PaymentStage}``, the stages to show instead of the catalog's own; for
        catalogs that an async loader keeps.
    :param per_page: 1-50 products on a page.
    :param on_paid: as in :class:`Buy`.
    :param buttons: more buttons under the catalog, such as a ``Start`` of another dialog.
    :param catalog_text: instead of the heading, with ``{heading}`` and ``{category}``.
    :param product_text: instead of the text about a product, with ``{title}``, ``{description}``, ``{price}``,
        ``{owned}`` and ``{stage}``.
    :param paid_text: instead of the thanks, with ``{title}``, ``{stars}``, ``{reference}`` and ``{payment}``.
    :param windows: windows that take the place of those with the same state; they get the same data.
    :param states: a group with states of the same names, for a second shop in one bot.
    :param dialog_options: further options of aiogram-dialog's ``Dialog``.
    :raises ConfigurationError: for a group that lacks a state, or something that is no window.
    :raises ValidationError: naming the parameter, its limit and the value.
    """
    if category is not None:
        check_text("category", category, 64)
    if stages is not None and not callable(stages):
        raise ConfigurationError(f"stages must be an async function (**data) -> dict, not {type(stages).__name__}")
    check_states(states, ShopStates)
    group: Any = states
    shop = _Shop(category, stages)

    async def open_product(callback: CallbackQuery, widget: Any, manager: DialogManager, stage_id: str) -> None:
        manager.dialog_data[STAGE] = stage_id
        await manager.switch_to(group.product)

    product_texts: list[TextWidget] = [
        Format("{title}"),
        Format("\n{description}\n\n{price}", when="stage"),
        Format("\n{owned}", when="owned"),
    ]
    if product_text is not None:
        product_texts = [as_text(product_text)]
    catalog_window = Window(
        as_text("{heading}" if catalog_text is None else catalog_text),
        Column(
            Select(
                Format("{item[1]}"),
                id="category",
                item_id_getter=lambda item: item[0],
                items="categories",
                on_click=shop.choose_category,
            )
        ),
        _Pages(
            StageSelect(id="stage", stages="stages", on_click=open_product),
            id="pages",
            width=1,
            height=check_page(per_page),
            hide_on_single_page=True,
        ),
        Button(PhraseText("shop_categories_button"), id="categories", on_click=_choose_all, when="category"),
        *buttons,
        Cancel(PhraseText("close_button"), id="close"),
        state=group.catalog,
        parse_mode=None,
    )
    product_window = Window(
        *product_texts,
        DynamicMedia("photo", when="photo"),
        Buy("{buy}", Format("{stage_id}"), id="buy", on_paid=on_paid, paid_state=group.paid, when="is_sold"),
        DonateCounter("give", Format("{stage_id}"), on_paid=on_paid, paid_state=group.paid, when="is_chosen"),
        switch("back_button", "back", group.catalog),
        state=group.product,
        parse_mode=None,
    )
    paid_window = Window(
        text_or(paid_text, "shop_thanks"),
        PhraseText("receipt_number"),
        switch("shop_button", "again", group.catalog),
        Cancel(PhraseText("close_button"), id="end"),
        state=group.paid,
        parse_mode=None,
    )
    getters = {"catalog": shop.catalog, "product": shop.product, "paid": shop.paid}
    return assemble([catalog_window, product_window, paid_window], windows, getters, dialog_options)
