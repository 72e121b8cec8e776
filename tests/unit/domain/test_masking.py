"""Secrets in the forms in which programs print them."""

from __future__ import annotations

import base64
import html
import json
import shlex
import time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.masking import mask

SECRETS = (
    "hunter2hunter2",
    "p@ss w0rd/+=&?%",
    'quote\'s "and" \\back\\slash',
    "pässwörd→😀 ",
    "tab\tand\x7fcontrol\x01",
    "line one of it\nline two of it\n",
    "a\nb\nc\nd\ne\nf\n",
)
FORMS = {
    "plain": lambda text: text,
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "ascii": ascii,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"password": text})),
    "repr in JSON": lambda text: json.dumps(repr({"password": text})),
    "JSON of JavaScript": lambda text: json.dumps(text).replace("/", "\\/"),
    "URL": lambda text: f"postgres://user:{quote(text, safe='')}@db/x",
    "path": quote,
    "query": lambda text: urlencode({"token": text}),
    "URL in lower case": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "URL in a URL": lambda text: quote(quote_plus(text)),
    "HTML": html.escape,
    "shell": shlex.quote,
    "octal": lambda text: "".join(
        f"\\{byte:03o}" if byte > 126 else chr(byte) for byte in text.replace("\\", "\\\\").encode()
    ),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 of a URL": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "Base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "basic auth": lambda text: "Basic " + base64.b64encode(f"user:{text}".encode()).decode(),
    "basic auth, another user": lambda text: base64.b64encode(f"admin:{text}:1".encode()).decode(),
    "a header in repr": lambda text: repr({"Authorization": base64.b64encode(f"me:{text}".encode())}),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in upper case": lambda text: text.encode().hex().upper(),
}


def leaks(secret: str, form: str, shown: str) -> bool:
    """Whether what is shown still has the form of the secret, or of one of its lines."""
    return FORMS[form](secret).strip("'\"") in shown


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    text = f"before {FORMS[form](secret)} after"
    shown = mask(text, [secret.encode()])
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    # At most the characters of Base64 that also stand for a neighbour remain, and the quotes.
    unchanged = FORMS[form]("")
    rest = shown.removeprefix("before ").removesuffix(" after").replace("***", "")
    assert len(rest) <= len(unchanged) + 30, rest
    for line in secret.splitlines():
        if len(line.strip()) >= 8:
            assert not leaks(line.strip(), form, shown)


def test_text_without_a_secret_stays_byte_for_byte() -> None:
    text = 'GET /%41?q=a+b "\\u0041" &amp; \\n \udcff bm90IGEgc2VjcmV0'
    assert mask(text, [b"hunter2hunter2", b"short", b""]) == text
    assert mask(text, []) == text


def test_several_secrets_and_overlaps() -> None:
    assert mask("abcdefghijkl mnopqrstu", [b"abcdefgh", b"efghijkl", b"mnopqrstu"]) == "*** ***"
    assert mask("abcdefghabcdefgh", [b"abcdefgh"]) == "******"
    assert mask("aaaaaaaaaaaa", [b"aaaaaaaa"]) == "***"


def test_what_is_shorter_is_not_masked() -> None:
    assert mask("short password 1234567", [b"1234567", b"short\npassword"]) == "short *** 1234567"


def test_a_value_that_is_not_text() -> None:
    value = b"\xff\xfe\x00\x01binary\x80\x81value"
    for text in (value.decode(errors="replace"), repr(value), value.hex(), base64.b64encode(value).decode()):
        assert value.hex() not in mask(text, [value])
        assert "***" in mask(text, [value]), text


def test_a_large_value_takes_no_time() -> None:
    value = b"\n".join(b"%064d" % number for number in range(4_000))
    log = "\n".join(f'{{"line": "{number}\\u0041%20"}}' for number in range(500)) + value[-500:].decode()
    started = time.process_time()
    shown = mask(log, [value])
    assert time.process_time() - started < 10
    assert f"{3_999:064d}" not in shown


@given(st.text(min_size=8), st.sampled_from(sorted(FORMS)), st.text(), st.text())
@example("00000000", "Base64", "", "")
@example("00000\\n\x7f", "octal", "", "")
@example("000000\n\x7f", "octal", "", "")
def test_no_text_around_it_hides_a_secret(secret: str, form: str, before: str, after: str) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    if len(secret.strip()) >= 8:
        assert "***" in mask(f"{before} {FORMS[form](secret)} {after}", [secret.encode()])
