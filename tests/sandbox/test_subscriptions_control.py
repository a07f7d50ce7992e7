"""Subscriptions over the control API, as the page and programs in other processes see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from aiogram_neonpay.sandbox import SandboxServer
from tests.sandbox.conftest import START
from tests.sandbox.subscribing import MONTH, Club


class Control:
    """The control API of a club."""

    def __init__(self, club: Club, url: str, session: aiohttp.ClientSession) -> None:
        self.club = club
        self._url = url
        self._session = session

    async def get(self, path: str, status: int = 200) -> Any:
        async with self._session.get(f"{self._url}/sandbox/api/{path}") as response:
            assert response.status == status
            return await response.json()

    async def post(self, path: str, status: int = 200, /, **body: Any) -> Any:
        async with self._session.post(f"{self._url}/sandbox/api/{path}", json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    async def subscriptions(self, whose: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"{whose}/subscriptions"))["subscriptions"]
        return found


@pytest_asyncio.fixture
async def control() -> AsyncIterator[Control]:
    club = Club()
    async with SandboxServer(club.sandbox) as server, aiohttp.ClientSession() as session:
        yield Control(club, server.url, session)


@pytest.mark.asyncio
async def test_a_screen_of_subscriptions_can_be_drawn_from_the_routes(control: Control) -> None:
    club, alice = control.club, control.club.alice
    subscription = await club.subscribe(amount=300)
    (shown,) = await control.subscriptions(f"users/{alice.id}")
    assert shown == {
        "charge_id": subscription.first_charge_id,
        "bot_id": subscription.bot_id,
        "bot_name": "Club Bot",
        "user_id": alice.id,
        "user_name": "Alice",
        "title": "Club",
        "description": "The club, monthly",
        "photo_url": None,
        "payload": "club",
        "amount": 300,
        "period": MONTH,
        "state": "active",
        "started": START,
        "until": START + MONTH,
        "payments": 1,
        "canceled_by_bot": False,
        "can_cancel": True,
        "can_restore": False,
        "short": 100,
    }
    assert await control.subscriptions("bots/club_bot") == [shown]
    assert await control.subscriptions(f"users/{club.bob.id}") == []
    people = {user["id"]: user["subscriptions"] for user in (await control.get("state"))["users"]}
    assert people == {alice.id: 1, club.bob.id: 0}


@pytest.mark.asyncio
async def test_a_subscription_is_canceled_and_restored_by_charge_id_payload_or_as_the_only_one(
    control: Control,
) -> None:
    club = control.club
    subscription = await club.subscribe()
    path = f"users/{club.alice.id}/subscriptions"
    for name in ({}, {"payload": "club"}, {"charge_id": subscription.first_charge_id}):
        shown = await control.post(f"{path}/cancel", **name)
        assert (shown["state"], shown["can_cancel"], shown["can_restore"], shown["short"]) == (
            "canceled",
            False,
            True,
            0,
        )
        assert (await control.post(f"{path}/restore", **name))["state"] == "active"
    assert [state for *_, state in await club.news()] == ["canceled", "active"] * 3
    await club.edit(subscription, True)
    refused = await control.post(f"{path}/restore", 400)
    assert "is_canceled=false" in refused["error"]
    (shown,) = await control.subscriptions(f"users/{club.alice.id}")
    assert (shown["canceled_by_bot"], shown["can_restore"]) == (True, False)


@pytest.mark.asyncio
async def test_a_wrong_request_says_what_is_wrong(control: Control) -> None:
    path = f"users/{control.club.alice.id}/subscriptions"
    for body, complaint in (
        ({}, "Alice has no such subscription"),
        ({"charge_id": 5}, "'charge_id' must be a string"),
        ({"charge": "x"}, "no field 'charge'"),
    ):
        assert complaint in (await control.post(f"{path}/cancel", 400, **body))["error"]
    assert "there is no user 7" in (await control.get("users/7/subscriptions", 400))["error"]
    assert "no such bot" in (await control.get("bots/nobody/subscriptions", 400))["error"]


@pytest.mark.asyncio
async def test_a_renewal_is_marked_in_the_chat_and_pages_are_told(control: Control) -> None:
    club = control.club
    await club.subscribe()
    with club.sandbox.world.feed.subscribe() as events:
        await control.post("clock", seconds=MONTH)
        kinds = [event["type"] for event in iter_events(events)]
    assert "subscriptions" in kinds and "ledger" in kinds
    shown = await control.get(f"users/{club.alice.id}/messages")
    payments = [message["successful_payment"] for message in shown["messages"] if "successful_payment" in message]
    assert [payment["renewal"] for payment in payments] == [False, True]
    assert payments[1]["receipt"]["subscription_until"] == START + 2 * MONTH
    (row, _) = (await control.get("bots/club_bot/transactions"))["transactions"]
    assert (row["date"], row["refundable"]) == (START + MONTH, True)


def iter_events(events: Any) -> Any:
    """Give the events that have come so far."""
    while not events.empty():
        yield events.get_nowait()
