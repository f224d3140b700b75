"""Source code to lengths and kinds of its tokens: the page colours text, and is sent no markup."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import groupby

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
"""Tokens that have a colour, with what is more special than they, and the name of their class in the page's style."""


def kinds(name: str, code: str) -> str:
    """Tokens as `k3 1 f5`: kind, none for plain text, and characters (code points), up to the end.

    The language is that of a file called `name`; all is plain where no lexer knows it.
    """
    runs = groupby(_tokens(_lexer(name), code), key=lambda token: token[0])
    return " ".join(f"{kind}{sum(length for _, length in run)}" for kind, run in runs)


@lru_cache
def _lexer(name: str) -> Lexer:
    try:
        return get_lexer_for_filename(name)
    except ClassNotFound:
        return TextLexer()


def _tokens(lexer: Lexer, code: str) -> Iterator[tuple[str, int]]:
    # Unprocessed: lexers drop and add blank lines otherwise, and lengths would not fit the text.
    for _, token, text in lexer.get_tokens_unprocessed(code):
        yield _kind(token), len(text)


@lru_cache
def _kind(token: _TokenType) -> str:
    return next((KINDS[each] for each in reversed(token.split()) if each in KINDS), "")
