"""Writes aiogram_neonpay/sandbox/schema.json: the Bot API's methods, their parameters and the kinds of update.

It takes them from the models of the aiogram that is installed. Run it after an update of aiogram:
``python scripts/create_schema.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiogram import __api_version__, methods
from aiogram.methods import TelegramMethod
from aiogram.types import Update

PATH = Path(__file__).resolve().parents[1] / "aiogram_neonpay" / "sandbox" / "schema.json"


def schema() -> dict[str, Any]:
    """Return what the file holds."""
    kinds: list[type[TelegramMethod[Any]]] = [
        value
        for value in vars(methods).values()
        if isinstance(value, type) and issubclass(value, TelegramMethod) and value is not TelegramMethod
    ]
    return {
        "version": __api_version__,
        "methods": {kind.__api_method__: sorted(names(kind)) for kind in sorted(kinds, key=lambda k: k.__api_method__)},
        "updates": sorted(set(Update.model_fields) - {"update_id"}),
    }


def names(kind: type[TelegramMethod[Any]]) -> set[str]:
    """Return the parameters of a method as they are written on the wire."""
    return {field.alias or name for name, field in kind.model_fields.items()}


def text() -> str:
    """Return the file's text: one method a line."""
    data = schema()
    lines = [f"  {json.dumps(name)}: {json.dumps(given)}" for name, given in data["methods"].items()]
    methods_text = "{\n" + ",\n".join(lines) + "\n }"
    updates = json.dumps(data["updates"])
    return f'{{\n "version": {json.dumps(data["version"])},\n "updates": {updates},\n "methods": {methods_text}\n}}\n'


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(f"{PATH}: Bot API {__api_version__}")
