"""What buttons of ours carry, within Telegram's 64 bytes, and what stands on those that sell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton
from pydantic import Field

from aiogram_neonpay.stages import PaymentStage, stage_code
from aiogram_neonpay.texts import Texts

__all__ = [
    "LONGEST_ID",
    "MAX_PAGE",
    "TAPS",
    "ItemTap",
    "PageTap",
    "StageTap",
    "StopTap",
    "Tap",
    "category_code",
    "label_of",
    "read_tap",
    "rows_of",
    "shop_rows",
]

LONGEST_ID = 43
"""Bytes of a stage id that fit beside prefix and amount in Telegram's 64 bytes of callback data."""
MAX_PAGE = 50
"""Products on one page of a catalog. Ours: categories need room beside them."""
CHIPS = 30
"""Categories that get a button; Telegram takes 100 buttons in all."""
_ROW = 3


class StageTap(CallbackData, prefix="neonpay"):
    """A stage for sale: its id or, when that is too long, ``~`` and its code; and the Stars that the button names."""

    stage: str
    amount: int | None

    @classmethod
    def data(cls, stage_id: str, amount: int | None) -> str:
        """Return the callback data of a button that sells a stage."""
        return cls(stage=stage_id if len(stage_id) <= LONGEST_ID else "~" + stage_code(stage_id), amount=amount).pack()


class ItemTap(StageTap, prefix="npitem"):
    """The same on a page of a catalog, whose buttons the plugin keeps up to date."""


class PageTap(CallbackData, prefix="nppage"):
    """A page of a catalog.

    :ivar category: the code of the only category that is shown; empty for all.
    :ivar fixed: whether the author chose the category, so that no other is offered.
    """

    category: str
    fixed: bool
    page: int
    per_page: int = Field(ge=1, le=MAX_PAGE)


class StopTap(CallbackData, prefix="npstop"):
    """Gives up the question for an amount."""


Tap = StageTap | ItemTap | PageTap | StopTap
TAPS: tuple[type[CallbackData], ...] = (StageTap, ItemTap, PageTap, StopTap)
PREFIXES = tuple(kind.__prefix__ for kind in TAPS)


def read_tap(data: str) -> Tap | None:
    """Return what a button of ours carries; the bot may have buttons that begin alike."""
    prefix = data.partition(":")[0]
    if prefix not in PREFIXES:
        return None
    try:
        tap: Tap = TAPS[PREFIXES.index(prefix)].unpack(data)  # type: ignore[assignment]
    except (TypeError, ValueError):
        return None
    return tap


def category_code(category: str) -> str:
    """Return eight characters that stand for the name of a category."""
    return hashlib.sha256(category.encode()).hexdigest()[:8]


def label_of(stage: PaymentStage, texts: Texts, language: str | None) -> str:
    """Return what a button says that sells a stage: the title, and the price if it has one."""
    if stage.price is None:
        return stage.title
    key = "product_month_button" if stage.subscription else "product_button"
    return texts.get(key, language, title=stage.title, amount=stage.price)


def shop_rows(
    stages: Mapping[str, PaymentStage], texts: Texts, language: str | None, shown: PageTap
) -> list[list[InlineKeyboardButton]]:
    """Return the rows of one page of a catalog: categories to choose from, products, ways to other pages."""
    on_sale = {stage_id: stage for stage_id, stage in stages.items() if stage.on_sale}
    categories = list(dict.fromkeys(stage.category for stage in on_sale.values()))
    if not shown.fixed and shown.category not in {category_code(name) for name in categories if name is not None}:
        shown = shown.model_copy(update={"category": ""})  # it has no products any more
    items = [
        (stage_id, stage)
        for stage_id, stage in on_sale.items()
        if not shown.category or (stage.category is not None and category_code(stage.category) == shown.category)
    ]
    pages = max(1, -(-len(items) // shown.per_page))
    shown = shown.model_copy(update={"page": min(max(0, shown.page), pages - 1)})
    rows = [] if shown.fixed or len(categories) < 2 else _chips(categories, texts, language, shown)
    first = shown.page * shown.per_page
    for stage_id, stage in items[first : first + shown.per_page]:
        data = ItemTap.data(stage_id, stage.price)
        rows.append([InlineKeyboardButton(text=label_of(stage, texts, language), callback_data=data)])
    if pages > 1:
        rows.append(_turns(shown, pages))
    return rows


def _chips(
    categories: Iterable[str | None], texts: Texts, language: str | None, shown: PageTap
) -> list[list[InlineKeyboardButton]]:
    names = [(name, category_code(name)) for name in categories if name is not None][:CHIPS]
    chips = [
        _page(f"• {name} •" if code == shown.category else name, shown, category=code, page=0)
        for name, code in [(texts.get("all_products", language), ""), *names]
    ]
    return rows_of(chips)


def _turns(shown: PageTap, pages: int) -> list[InlineKeyboardButton]:
    row = [_page(f"{shown.page + 1}/{pages}", shown)]
    if shown.page > 0:
        row.insert(0, _page("‹", shown, page=shown.page - 1))
    if shown.page < pages - 1:
        row.append(_page("›", shown, page=shown.page + 1))
    return row


def _page(text: str, shown: PageTap, **changes: str | int) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=shown.model_copy(update=changes).pack())


def rows_of(buttons: Sequence[InlineKeyboardButton]) -> list[list[InlineKeyboardButton]]:
    """Return buttons in rows of three."""
    return [list(buttons[at : at + _ROW]) for at in range(0, len(buttons), _ROW)]
