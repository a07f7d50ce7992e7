"""What the package says it offers is what it offers."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest
from aiogram import Router

import aiogram_neonpay
from aiogram_neonpay import dialogs
from tests.packaging.source import MODULES, ROOT, Module

PRIVATE_HELP = {"annotations"}
PAGES = "\n".join(
    page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
)
DIALOGS = (ROOT / "docs" / "dialogs.md").read_text(encoding="utf-8")
WITH_LIST = [module for module in MODULES if "__all__" in module.text]


def test_the_public_names_are_sorted() -> None:
    assert list(aiogram_neonpay.__all__) == sorted(aiogram_neonpay.__all__)


def test_the_public_names_are_the_importable_ones() -> None:
    found = {
        name
        for name, value in vars(aiogram_neonpay).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name not in PRIVATE_HELP
    }
    listed = {name for name in aiogram_neonpay.__all__ if not name.startswith("_")}
    for name in listed:
        getattr(aiogram_neonpay, name)

    # Names that are loaded on first use are listed and not there yet.
    assert found <= listed
    assert listed <= set(dir(aiogram_neonpay))


@pytest.mark.parametrize("module", WITH_LIST, ids=lambda module: module.name)
def test_a_module_lists_only_names_it_has(module: Module) -> None:
    imported = importlib.import_module(module.name)

    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []
    assert len(set(imported.__all__)) == len(imported.__all__)


@pytest.mark.parametrize("name", [name for name in aiogram_neonpay.__all__ if not name.startswith("_")])
def test_a_public_name_is_documented(name: str) -> None:
    value = getattr(aiogram_neonpay, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize("name", [name for name in aiogram_neonpay.__all__ if not name.startswith("_")])
def test_a_public_name_stands_in_the_documents(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGES)


@pytest.mark.parametrize("kind", [aiogram_neonpay.NeonPay, aiogram_neonpay.PaymentRouter])
def test_every_public_method_of_ours_stands_in_the_documents(kind: type) -> None:
    inherited = {*dir(Router), *dir(dict)}
    ours = [name for name in dir(kind) if not name.startswith("_") and name not in inherited]

    assert [name for name in ours if not re.search(rf"\b{name}\b", PAGES)] == []


@pytest.mark.parametrize("name", dialogs.__all__)
def test_a_name_for_dialogs_stands_on_its_page(name: str) -> None:
    value = getattr(dialogs, name)

    assert f"`{name}" in DIALOGS or f"    {name},\n" in DIALOGS
    assert inspect.getdoc(value) or not (inspect.isclass(value) or inspect.isroutine(value))
