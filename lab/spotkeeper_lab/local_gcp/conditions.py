"""Conditions of IAM bindings: the part of the Common Expression Language that is about names of resources.

``resource.name``, ``resource.type``, ``resource.service`` and ``api.getAttribute('…', '…')`` compared by ``==`` and
``!=``, ``.startsWith('…')`` and ``.endsWith('…')``; ``&&``, ``||``, ``!`` and parentheses. Anything else is an error,
never a guess. Source: IAM documentation, "Attribute reference for IAM Conditions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LIST_PREFIX = "storage.googleapis.com/objectListPrefix"
"""The attribute that a list of objects has: which names it is to begin with."""
_TOKEN = re.compile(r"""\s*('[^']*'|"[^"]*"|&&|\|\||==|!=|[()!,]|[A-Za-z_.]+)""")
_CALLS = (".startsWith", ".endsWith")


def holds(expression: str, context: Mapping[str, str]) -> bool:
    """Return whether a condition holds.

    Args:
        expression: the condition; empty: always.
        context: values of ``resource.name`` and its like, and of attributes by their names.

    Raises:
        NotImplementedError: It has something in it that is not known here.
    """
    tokens, rest = [], expression
    while rest.strip():
        match = _TOKEN.match(rest)
        if match is None:
            raise _unknown(expression)
        tokens.append(match[1])
        rest = rest[match.end() :]
    if not tokens:
        return True
    try:
        found = _either(tokens, context)
    except (IndexError, KeyError):
        raise _unknown(expression) from None
    if tokens:
        raise _unknown(expression)
    return found


def _either(tokens: list[str], context: Mapping[str, str]) -> bool:
    found = _all(tokens, context)
    while tokens and tokens[0] == "||":
        tokens.pop(0)
        found = _all(tokens, context) or found
    return found


def _all(tokens: list[str], context: Mapping[str, str]) -> bool:
    found = _one(tokens, context)
    while tokens and tokens[0] == "&&":
        tokens.pop(0)
        found = _one(tokens, context) and found
    return found


def _one(tokens: list[str], context: Mapping[str, str]) -> bool:
    word = tokens.pop(0)
    if word == "!":
        return not _one(tokens, context)
    if word == "(":
        found = _either(tokens, context)
        _expect(tokens, ")")
        return found
    if word == "api.getAttribute":
        _expect(tokens, "(")
        name = _text(tokens)
        _expect(tokens, ",")
        value = context.get(name, _text(tokens))
        _expect(tokens, ")")
        return _compared(value, tokens.pop(0), tokens)
    for call in _CALLS:
        if word.endswith(call):
            return _compared(context[word.removesuffix(call)], call, tokens)
    return _compared(context[word], tokens.pop(0), tokens)


def _compared(value: str, how: str, tokens: list[str]) -> bool:
    if how in _CALLS:
        _expect(tokens, "(")
        part = _text(tokens)
        _expect(tokens, ")")
        return value.startswith(part) if how == _CALLS[0] else value.endswith(part)
    if how not in ("==", "!="):
        raise KeyError(how)
    return (value == _text(tokens)) is (how == "==")


def _text(tokens: list[str]) -> str:
    word = tokens.pop(0)
    if word[0] not in "'\"":
        raise KeyError(word)
    return word[1:-1]


def _expect(tokens: list[str], word: str) -> None:
    if tokens.pop(0) != word:
        raise KeyError(word)


def _unknown(expression: str) -> NotImplementedError:
    return NotImplementedError(f"condition: was {expression!r}, expected names and types of resources")
