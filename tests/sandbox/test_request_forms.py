"""What clients send besides the usual: forms in a GET, long query strings, numbers and JSON that are hardly any."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from aiogram_neonpay.sandbox.parameters import JSON_DEPTH, Parameters, decode
from tests.sandbox.conftest import Stand
from tests.sandbox.raw import call


@pytest.mark.asyncio
async def test_the_body_of_a_get_counts(stand: Stand) -> None:
    url = f"{stand.server.url}/bot{stand.token}/sendMessage"
    params = {"chat_id": str(stand.alice.id), "text": "é &="}
    async with aiohttp.ClientSession() as session:
        for body in (
            {"data": params},
            {"json": params},
            {"data": aiohttp.FormData(params, default_to_multipart=True)},
        ):
            async with session.get(url, **body) as response:
                assert (await response.json())["result"]["text"] == "é &="


@pytest.mark.asyncio
async def test_the_longest_text_fits_into_a_query_string(stand: Stand) -> None:
    url = f"{stand.server.url}/bot{stand.token}/sendMessage"
    params = {"chat_id": str(stand.alice.id), "text": "Ж" * 4096}
    async with aiohttp.ClientSession() as session, session.post(url, params=params) as response:
        assert len((await response.json())["result"]["text"]) == 4096


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("12abc", 12),
        ("7.9", 7),
        ("abc", 0),
        (" 5", 0),
        ("", 100),
        ("9" * 5000, 10**9),
        ("١٢", 0),
    ],
)
def test_a_number_is_read_as_far_as_it_goes_and_clamped(written: str, value: int) -> None:
    assert Parameters({"limit": written}).integer("limit", 100, -50, 10**9) == value


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_json_is_taken_as_deep_as_telegram_takes_it() -> None:
    assert json.dumps(decode(nested(JSON_DEPTH + 1))) == nested(JSON_DEPTH + 1)
    for refused in (nested(JSON_DEPTH + 2), nested(100_000), '{"a":' * 200, "NaN", "[1e999]", "-Infinity", b"\xff"):
        with pytest.raises(ValueError):
            decode(refused)


@pytest.mark.asyncio
@pytest.mark.parametrize("depth", [90, 101, 102, 900, 100_000])
@pytest.mark.parametrize("form", ["data", "json"])
async def test_deep_json_is_answered_wherever_it_stands(stand: Stand, depth: int, form: str) -> None:
    url = f"{stand.server.url}/bot{stand.token}/sendMessage"
    params: dict[str, Any] = {"chat_id": stand.alice.id, "text": "x", "reply_markup": nested(depth)}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, **{form: params}) as response:
            assert response.status == 400
        body = b'{"chat_id": %d, "text": "x", "extra": %s}' % (stand.alice.id, nested(depth).encode())
        headers = {"Content-Type": "application/json"}
        async with session.post(url, data=body, headers=headers) as response:
            assert response.status == (200 if depth < 100 else 400)
        async with session.post(f"{stand.server.url}/sandbox/api/clock", data=body, headers=headers) as response:
            assert response.status in (200, 400)


@pytest.mark.asyncio
async def test_an_inline_invoice_is_read_as_json_and_not_as_parameters(stand: Stand) -> None:
    content = {
        "title": "T",
        "description": "D",
        "payload": "p",
        "currency": "XTR",
        "prices": [{"label": "x", "amount": 1}],
    }

    async def refusal(**changes: Any) -> str:
        given = {name: value for name, value in {**content, **changes}.items() if value is not None}
        results = [{"type": "article", "id": "1", "title": "T", "input_message_content": given}]
        _, answer = await call(
            stand.server.url, stand.token, "answerInlineQuery", inline_query_id="1", results=json.dumps(results)
        )
        return str(answer["description"])

    problem = "Bad Request: can't parse inline query result: "
    too_old = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    assert await refusal() == too_old
    assert await refusal(subscription_period=60, start_parameter="x") == too_old
    assert await refusal(title=None) == problem + 'Can\'t find field "title"'
    assert await refusal(prices="[]") == problem + 'Field "prices" must be of type Array'
    assert await refusal(prices=[]) == problem + "There must be at least one price"
    assert await refusal(prices=[{"label": "", "amount": 1}]) == (
        problem + "Can't parse labeled price: LabeledPrice label must be non-empty"
    )
    assert await refusal(suggested_tip_amounts=[None]) == (
        problem + "Suggested tip amount must be of type Number or String"
    )
