"""How formatted text is read: what becomes an entity, and the words with which Telegram refuses the rest.

Source: `parse_markdown_v2`, `parse_markdown` and `parse_html` in td/telegram/MessageEntity.cpp of tdlib/td.
"""

from __future__ import annotations

from typing import Any

import pytest

from aiogram_neonpay.sandbox.entities import parse_text
from aiogram_neonpay.sandbox.errors import ApiError

RESERVED = "Character {!r} is reserved and must be escaped with the preceding '\\'"


def read(text: str, mode: str) -> tuple[str, list[tuple[Any, ...]]]:
    """Return the plain text, and each entity as its type, offset, length and what else it has."""
    plain, entities = parse_text(text, mode, None)
    return plain, [tuple(item.values()) for item in entities]


@pytest.mark.parametrize("char", "]()>#+-=|{}.!")
def test_a_reserved_character_of_markdown_v2_must_be_escaped(char: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(f"1{char}", "MarkdownV2")
    assert refused.value.description == "Bad Request: can't parse entities: " + RESERVED.format(char)
    assert read(f"1\\{char}", "MarkdownV2") == (f"1{char}", [])
    assert read(f"`1{char}`", "MarkdownV2") == (f"1{char}", [("code", 0, 2)])


REFUSED = [
    ("MarkdownV2", "🏟 *bold", "Can't find end of Bold entity at byte offset 5"),
    ("MarkdownV2", "_a *b_ c*", "Can't find end of Bold entity at byte offset 8"),
    ("MarkdownV2", "```a ", "Can't find end of PreCode entity at byte offset 0"),
    ("MarkdownV2", "[x](https://a.b", "Can't find end of a URL at byte offset 4"),
    ("MarkdownV2", "![x]", "The entity must contain a tg://emoji or tg://time URL"),
    ("MarkdownV2", "![x](tg://emoji?id=0)", "Invalid tg://emoji or tg://time URL specified"),
    ("MarkdownV2", ">a *b\nc*", "Can't find end of Bold entity at byte offset 3"),
    ("Markdown", "a snake_case", "Can't find end of the entity starting at byte offset 7"),
    ("Markdown", "```x`", "Can't find end of the entity starting at byte offset 0"),
    ("HTML", "1 < 2", 'Unsupported start tag "" at byte offset 2'),
    ("HTML", "a<br/>", 'Unsupported start tag "br/" at byte offset 1'),
    ("HTML", "<b", "Unclosed start tag at byte offset 0"),
    ("HTML", "<a href=https://a.b>x</a>", "Unexpected end of name token at byte offset 8"),
    ("HTML", "<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
    ("HTML", "я</b>", "Unexpected end tag at byte offset 2"),
    ("HTML", "<b>x</b", "Unclosed end tag at byte offset 4"),
    ("HTML", "<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ("HTML", '<tg-emoji emoji-id="x">x</tg-emoji>', "Invalid custom emoji identifier specified"),
    ("HTML", '<tg-time unix="5" format="x">x</tg-time>', "Invalid date format used"),
]


@pytest.mark.parametrize(("mode", "text", "words"), REFUSED)
def test_what_telegram_cannot_parse_is_refused_in_its_words(mode: str, text: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(text, mode)
    assert refused.value.description == f"Bad Request: can't parse entities: {words}"


READ: list[tuple[str, str, str, list[tuple[Any, ...]]]] = [
    ("MarkdownV2", "*b _i_*", "b i", [("bold", 0, 3), ("italic", 2, 1)]),
    ("MarkdownV2", ">a\n>b\nc", "a\nb\nc", [("blockquote", 0, 4)]),
    ("MarkdownV2", ">a\n>b||", "a\nb", [("expandable_blockquote", 0, 3)]),
    ("MarkdownV2", "```py\nx=1```", "x=1", [("pre", 0, 3, "py")]),
    ("MarkdownV2", r"*a\*b*", "a*b", [("bold", 0, 3)]),
    ("MarkdownV2", "[x](a.io)", "x", [("text_link", 0, 1, "http://a.io/")]),
    ("MarkdownV2", "[x](no link)", "x", []),
    ("MarkdownV2", "![1](tg://time?unix=5&format=t)", "1", [("date_time", 0, 1, 5, "t")]),
    ("Markdown", "1. (a) *b*!", "1. (a) b!", [("bold", 7, 1)]),
    ("Markdown", r"snake\_case", "snake_case", []),
    ("Markdown", "```py\nx```", "x", [("pre", 0, 1, "py")]),
    ("HTML", "&lt;&nbsp;&#128512;&amp;", "<&nbsp;😀&", []),
    ("HTML", "<pre><code class='language-py'>x</code></pre>", "x", [("pre", 0, 1, "py")]),
    ("HTML", "<code class='language-py'>x</code>", "x", [("code", 0, 1)]),
    ("HTML", "<blockquote expandable>x</blockquote>", "x", [("expandable_blockquote", 0, 1)]),
    ("HTML", "<b>/buy</b> <code>/buy</code>", "/buy /buy", [("bold", 0, 4), ("bot_command", 0, 4), ("code", 5, 4)]),
    ("HTML", "&lt;b&gt;x&lt;/b&gt; /etc/b /a>", "<b>x</b> /etc/b /a>", []),
    ("HTML", "<b>x</>", "x", [("bold", 0, 1)]),
    ("HTML", '<a href="https://a.b?c">x</a>', "x", [("text_link", 0, 1, "https://a.b/?c")]),
    ("HTML", "<a>a.io</a>", "a.io", [("text_link", 0, 4, "http://a.io/")]),
]


@pytest.mark.parametrize(("mode", "text", "plain", "entities"), READ)
def test_formatted_text_is_read(mode: str, text: str, plain: str, entities: list[tuple[Any, ...]]) -> None:
    assert read(text, mode) == (plain, entities)
