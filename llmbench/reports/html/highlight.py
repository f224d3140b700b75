"""Source code as kinds and lengths of its tokens: the page colours text and gets no markup."""

from collections.abc import Mapping
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound

KINDS: Mapping[_TokenType, str] = {
    Token.Comment: "c",
    Token.Keyword: "k",
    Token.Literal.String: "s",
    Token.Literal.Number: "m",
    Token.Name.Function: "f",
    Token.Name.Class: "f",
    Token.Name.Decorator: "d",
    Token.Name.Builtin: "b",
    Token.Operator.Word: "k",
}
"""Kinds of tokens and their subtypes, with the class in the page's style."""


def token_spans(name: str, code: str) -> str:
    """Return the tokens of the code as `k3 1 f5`: a kind (none for plain text) and a length each.

    Lengths are in code points and add up to that of the code. The language is that of a file called
    `name`; code in an unknown language is plain.
    """
    spans: list[str] = []
    last, length = "", 0
    # Unprocessed: otherwise lexers drop and add blank lines, and lengths would not fit the text.
    for _, token, text in _lexer(name).get_tokens_unprocessed(code):
        kind = _kind(token)
        if kind != last:
            spans.append(f"{last}{length}")
            last, length = kind, 0
        length += len(text)
    return " ".join([*spans, f"{last}{length}"])


@lru_cache
def _lexer(name: str) -> Lexer:
    try:
        return get_lexer_for_filename(name)
    except ClassNotFound:
        return TextLexer()


@lru_cache
def _kind(token: _TokenType) -> str:
    return next((KINDS[each] for each in reversed(token.split()) if each in KINDS), "")
