"""The catalog: stages registered in this process, then those a loader knows."""

from __future__ import annotations

from typing import Any

import pytest

from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.stages import Catalog, PaymentStage, stage_code

PREMIUM = PaymentStage("Premium", "30 days", 25)
STICKER = PaymentStage("Sticker", "One sticker", 5)


def test_stages_are_kept_in_order() -> None:
    catalog = Catalog({"premium": PREMIUM, "sticker": STICKER})

    assert catalog.all() == {"premium": PREMIUM, "sticker": STICKER}
    assert list(catalog.all()) == ["premium", "sticker"]
    assert (len(catalog), catalog.is_static) == (2, True)
    assert catalog.known("sticker") is STICKER
    assert catalog.known("nothing") is None


def test_what_is_done_to_the_list_does_not_change_the_catalog() -> None:
    source = {"premium": PREMIUM}
    catalog = Catalog(source)
    source.clear()
    catalog.all().clear()

    assert catalog.all() == {"premium": PREMIUM}


def test_an_id_in_use_is_not_taken_by_accident() -> None:
    catalog = Catalog({"premium": PREMIUM})

    with pytest.raises(ValidationError, match=r"stage_id: is in use already .*replace=True.*; got 'premium'"):
        catalog.add("premium", STICKER)
    assert catalog.known("premium") is PREMIUM
    catalog.add("premium", STICKER, replace=True)
    assert catalog.known("premium") is STICKER


@pytest.mark.parametrize("stage", [None, {}, "premium", PaymentStage, {"title": "Premium"}])
def test_only_stages_are_sold(stage: Any) -> None:
    with pytest.raises(ValidationError, match="stage 'premium': must be a PaymentStage; got"):
        Catalog({"premium": stage})


@pytest.mark.parametrize("stage_id", ["", "a b", "x" * 65, 5, None])
def test_ids_are_checked(stage_id: Any) -> None:
    with pytest.raises(ValidationError, match=r"^stage_id: "):
        Catalog({stage_id: PREMIUM})


@pytest.mark.parametrize("source", [5, "premium", ["premium"], PREMIUM])
def test_another_source_is_refused_with_what_would_do(source: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a dict of PaymentStage or an async function .*, not \w+$"):
        Catalog(source)


def test_a_stage_is_removed_once() -> None:
    catalog = Catalog({"premium": PREMIUM})

    assert [catalog.remove("premium"), catalog.remove("premium")] == [True, False]
    assert catalog.all() == {}


def test_the_number_of_stages_may_be_limited() -> None:
    catalog = Catalog(max_stages=1)
    catalog.add("premium", PREMIUM)

    with pytest.raises(ValidationError, match="max_stages: allows 1 stages in the catalog; got 'sticker'"):
        catalog.add("sticker", STICKER)
    catalog.add("premium", STICKER, replace=True)
    catalog.remove("premium")
    catalog.add("sticker", STICKER)


def test_a_short_code_leads_back_to_its_stage() -> None:
    catalog = Catalog({"premium": PREMIUM, "s" * 64: STICKER})

    assert len(stage_code("s" * 64)) == 8
    assert catalog.by_code(stage_code("s" * 64)) == "s" * 64
    assert catalog.by_code(stage_code("unknown")) is None
    assert stage_code("premium") != stage_code("sticker")


@pytest.mark.asyncio
async def test_a_loader_is_asked_at_every_use_for_what_this_process_does_not_know() -> None:
    asked = []

    async def load(stage_id: str) -> PaymentStage | None:
        asked.append(stage_id)
        return STICKER if stage_id == "sticker" else None

    catalog = Catalog(load)
    catalog.add("premium", PREMIUM)

    assert not catalog.is_static
    assert await catalog.get("premium") is PREMIUM
    assert await catalog.get("sticker") is STICKER
    assert await catalog.get("sticker") is STICKER
    assert await catalog.get("nothing") is None
    assert asked == ["sticker", "sticker", "nothing"]
    assert catalog.all() == {"premium": PREMIUM}


@pytest.mark.asyncio
async def test_a_loader_that_gives_something_else_is_told_so() -> None:
    async def load(stage_id: str) -> Any:
        return {"title": "Premium"}

    with pytest.raises(ConfigurationError, match="loader returned dict for 'premium', not a PaymentStage or None"):
        await Catalog(load).get("premium")


@pytest.mark.asyncio
async def test_without_a_loader_an_unknown_stage_is_none() -> None:
    assert await Catalog().get("premium") is None
    assert await Catalog({"premium": PREMIUM}).get("premium") is PREMIUM
