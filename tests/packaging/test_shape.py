"""The shape of the code: small modules, imports in one direction."""

from __future__ import annotations

import pytest

from tests.packaging.source import MODULE_NAMES, MODULES, PACKAGE, Module

LONGEST = 400

# From the bottom to the top: a module imports from its own layer and from those before it, never from one after it.
LAYERS = {
    "errors": ["checks", "errors"],
    "values": [
        "adapters",
        "buttons",
        "bulletin",
        "catalogs",
        "diagnosis",
        "events",
        "failures",
        "feed",
        "filters",
        "findings",
        "keyboards",
        "models",
        "payload",
        "places",
        "prices",
        "promo",
        "phrases",
        "redaction",
        "retries",
        "serving",
        "stages",
        "texts",
        "timing",
        "transactions",
        "wording",
    ],
    "storage": ["ledger", "sqlite"],
    "matching": ["attempts", "following", "hooks", "observers", "passage", "routers", "way"],
    "shared": ["news", "records", "sending", "shop"],
    "work": [
        "access",
        "amounts",
        "alerts",
        "checkout",
        "delivery",
        "discounts",
        "doctor",
        "examination",
        "entitlements",
        "gifts",
        "invoices",
        "limits",
        "links",
        "media",
        "mediasales",
        "opencheckout",
        "outages",
        "outcomes",
        "purchases",
        "reading",
        "reconcile",
        "refunds",
        "reports",
        "states",
        "subscriptions",
        "taps",
        "tidying",
        "timeline",
        "tracking",
        "worker",
    ],
    "wiring": ["backoffice", "core", "doorway", "factory", "gallery", "installation", "membership", "promotions"],
    "storefront": ["dialogs", "storefront"],
    "front": ["public", ""],
    "stand-in": ["sandbox"],
    "doors": ["cli", "consultation", "pytest_plugin", "testing", "__main__"],
}
# Stands in for Telegram: it must not know how the package thinks Telegram works.
SANDBOX = "sandbox"
ENGINE = [module for module in MODULES if not module.name.startswith(f"{PACKAGE}.{SANDBOX}")]
STAND_IN = [module for module in MODULES if module not in ENGINE]
# Each optional package is imported in one place, a module or a folder.
HOMES = {"redis": f"{PACKAGE}.ledger.redis", "aiogram_dialog": f"{PACKAGE}.dialogs"}


def layer_of(name: str) -> int:
    first = name.removeprefix(PACKAGE).lstrip(".").partition(".")[0]
    found = [number for number, rooms in enumerate(LAYERS.values()) if first in rooms]
    assert found, f"{name} is in no layer: add it to LAYERS, where its imports allow"
    return found[0]


def name_of(module: Module) -> str:
    return module.name


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_short_enough_to_read(module: Module) -> None:
    assert len(module.text.splitlines()) <= LONGEST


@pytest.mark.parametrize("module", ENGINE, ids=name_of)
def test_a_module_imports_nothing_from_a_layer_above_it(module: Module) -> None:
    above = [name for name in module.imports() & MODULE_NAMES if layer_of(name) > layer_of(module.name)]

    assert above == []


@pytest.mark.parametrize("module", STAND_IN, ids=name_of)
def test_the_sandbox_imports_nothing_from_the_rest_of_the_package(module: Module) -> None:
    foreign = [name for name in module.imports() & MODULE_NAMES if not name.startswith(f"{PACKAGE}.{SANDBOX}")]

    assert foreign == []


@pytest.mark.parametrize("optional", HOMES)
def test_an_optional_package_is_imported_in_one_place(optional: str) -> None:
    users = [module.name for module in MODULES if any(name.partition(".")[0] == optional for name in module.imports())]

    home = HOMES[optional]
    assert users
    assert [name for name in users if name != home and not name.startswith(f"{home}.")] == []


def test_no_two_modules_import_each_other() -> None:
    needs = {module.name: (module.imports() & MODULE_NAMES) - {PACKAGE, module.name} for module in MODULES}
    while ready := {name for name, needed in needs.items() if not needed}:
        needs = {name: needed - ready for name, needed in needs.items() if name not in ready}

    assert needs == {}, "these modules import each other in a circle"
