"""The Logging query language as far as sinks and alerts need it.

Comparisons of fields (``=``, ``!=``, ``:``, ``=~``, ``<``, ``<=``, ``>``, ``>=``), ``log_id("…")``, ``AND``, ``OR``,
``NOT`` and parentheses. Anything else is refused, never guessed. Source: Cloud Logging documentation, "Logging query
language".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from spotkeeper_lab.local_gcp.refusals import Refused

Entry = Mapping[str, Any]
Predicate = Callable[[Entry], bool]
_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<operator>=~|!=|<=|>=|=|:|<|>)|(?P<bracket>[()])|(?P<word>[^\s"=!:<>()]+))'
)
_SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")


def parse(text: str) -> Predicate:
    """Return whether an entry is meant by a filter.

    Raises:
        Refused: It cannot be understood here.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda _: True
    found = _either(tokens)
    if tokens:
        raise _bad(tokens)
    return found


def value_of(entry: Entry, path: str) -> Any:
    """Return a field of an entry, ``None`` where it has none."""
    found: Any = entry
    for name in path.split("."):
        found = found.get(name.strip('"')) if isinstance(found, Mapping) else None
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused(400, "invalid", f"Unparseable filter: syntax error at {text[at:][:40]!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found


def _either(tokens: list[tuple[str, str]]) -> Predicate:
    terms = [_all(tokens)]
    while tokens and tokens[0] == ("word", "OR"):
        tokens.pop(0)
        terms.append(_all(tokens))
    return lambda entry: any(term(entry) for term in terms)


def _all(tokens: list[tuple[str, str]]) -> Predicate:
    terms = [_term(tokens)]
    while tokens and tokens[0] not in (("word", "OR"), ("bracket", ")")):
        if tokens[0] == ("word", "AND"):
            tokens.pop(0)
        terms.append(_term(tokens))  # what stands side by side is meant together
    return lambda entry: all(term(entry) for term in terms)


def _term(tokens: list[tuple[str, str]]) -> Predicate:
    kind, word = tokens.pop(0) if tokens else ("", "")
    if (kind, word) == ("word", "NOT"):
        inner = _term(tokens)
        return lambda entry: not inner(entry)
    if word == "(" and kind == "bracket":
        inner = _either(tokens)
        _expect(tokens, ")")
        return inner
    if (kind, word) == ("word", "log_id"):
        _expect(tokens, "(")
        name = _literal(tokens)
        _expect(tokens, ")")
        return lambda entry: str(entry.get("logName", "")).endswith(f"/logs/{quote(name, safe='')}")
    if kind == "word" and tokens and tokens[0][0] == "operator":
        return _comparison(word, tokens.pop(0)[1], _literal(tokens))
    raise _bad([(kind, word), *tokens])


def _comparison(path: str, operator: str, wanted: str) -> Predicate:
    def holds(entry: Entry) -> bool:
        value = value_of(entry, path)
        if value is None:
            return operator == "!="
        if operator == ":":
            return wanted == "*" or wanted.lower() in str(value).lower()
        if operator == "=~":
            return re.search(wanted, str(value)) is not None
        if operator in ("=", "!="):
            return (_text(value) == wanted) is (operator == "=")
        left, right = _ordered(value, wanted)
        return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])

    return holds


def _ordered(value: Any, wanted: str) -> tuple[Any, Any]:
    if wanted in _SEVERITIES:
        return _SEVERITIES.index(str(value)) if value in _SEVERITIES else -1, _SEVERITIES.index(wanted)
    try:
        return float(value), float(wanted)
    except (TypeError, ValueError):
        return str(value), wanted


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _literal(tokens: list[tuple[str, str]]) -> str:
    kind, word = tokens.pop(0) if tokens else ("", "")
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    if kind != "word":
        raise _bad([(kind, word), *tokens])
    return word


def _expect(tokens: list[tuple[str, str]], bracket: str) -> None:
    if not tokens or tokens[0] != ("bracket", bracket):
        raise _bad(tokens)
    tokens.pop(0)


def _bad(tokens: list[tuple[str, str]]) -> Refused:
    rest = " ".join(word for _, word in tokens)[:60]
    return Refused(400, "invalid", f"Unparseable filter: syntax error at {rest!r}")
