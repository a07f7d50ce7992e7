"""Bot API calls by hand, for what a client library would not send."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

PRICES = json.dumps([{"label": "Premium", "amount": 25}])
INVOICE = {"title": "Premium", "description": "30 days", "payload": "p", "currency": "XTR", "prices": PRICES}


async def call(url: str, token: str, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
    """Call a method with a JSON body and return the HTTP status and the answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/bot{token}/{method}", json=params) as response,
    ):
        return response.status, await response.json()
