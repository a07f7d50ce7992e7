"""The published schema in the package: current, and used to name what a typo does."""

from __future__ import annotations

import pytest
from aiogram import __api_version__
from aiogram.types import BufferedInputFile

from aiogram_neonpay.sandbox import Sandbox, Upload, schema
from aiogram_neonpay.sandbox.methods import SUPPORTED
from scripts import create_schema
from tests.sandbox.conftest import Stand
from tests.sandbox.pictures import PHOTO


@pytest.mark.skipif(
    __api_version__ != schema.VERSION, reason=f"the schema is of Bot API {schema.VERSION}, aiogram of {__api_version__}"
)
def test_the_schema_is_what_aiogram_knows() -> None:
    assert create_schema.PATH.read_text(encoding="utf-8") == create_schema.text(), "run scripts/create_schema.py"


def test_every_method_of_the_sandbox_is_published() -> None:
    assert set(SUPPORTED) <= set(schema.PARAMETERS)


@pytest.mark.asyncio
async def test_parameters_a_method_does_not_have_are_ignored_and_named(sandbox: Sandbox) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", started=True)
    reply = await sandbox.call(token, "SENDMESSAGE", {"chat_id": alice.id, "text": "hi", "parsemode": "HTML", "x": 1})
    assert reply.status == 200
    await sandbox.call(token, "sendMessage", {"chat_id": alice.id, "texxt": "hi"})
    await sandbox.call(token, "sendMessage", {"chat_id": alice.id, "text": "hi"})
    await sandbox.call(token, "sendPhoto", {"chat_id": alice.id, "foto": Upload(PHOTO.content)})
    assert [call.unknown for call in sandbox.calls] == [("parsemode", "x"), ("texxt",), (), ("foto",)]


@pytest.mark.asyncio
async def test_files_that_a_parameter_names_are_known_and_recorded_by_name_and_size(stand: Stand) -> None:
    await stand.bot.send_photo(stand.alice.id, BufferedInputFile(PHOTO.content, "photo.png"))
    (call,) = stand.sandbox.calls
    assert call.unknown == ()
    recorded = [value for value in call.params.values() if isinstance(value, dict)]
    assert recorded == [{"file_name": "photo.png", "file_size": len(PHOTO.content)}]


@pytest.mark.asyncio
async def test_aiogram_sends_no_parameter_that_is_unknown(stand: Stand) -> None:
    await stand.invoice()
    await stand.bot.set_my_commands([])
    assert [call.unknown for call in stand.sandbox.calls] == [(), ()]
