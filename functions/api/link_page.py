"""The page behind a decision link: plain HTML without scripts, in which nothing that a model wrote is markup.

It says exactly what would be done and asks before it acts, since scanners of mail follow links.
"""

import json
import unicodedata
from html import escape
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from ratchet.app.answer_by_link import LinkState, LinkView
from ratchet.domain.approvals import value_of
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.steps import Interrupt

CONFIRMED = b"confirm=yes"
"""What the page's form sends."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
_SEEN = ("\n", "\t")
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Characters of these kinds are shown by their numbers: some turn text around, some hide it."""


def page(view: LinkView, *, status: int = HTTPStatus.OK) -> Response[str]:
    """The page of a link."""
    match view.state:
        case LinkState.OPEN:
            title, body = f"{_seen(view.answer)}?", _question(view) + _form(view)
        case LinkState.DECIDED:
            title, body = "Already answered", _outcome(view) + _question(view)
        case LinkState.CLOSED:
            status = HTTPStatus.GONE
            title, body = "This question is closed", "<p>It cannot be answered any more.</p>"
    return Response(
        status,
        content_type="text/html; charset=utf-8",
        headers=dict(HEADERS),
        body=_document(title, f"{body}<p>Task {_seen(view.task_id)}</p>"),
    )


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Ratchet: {title}</title></head><body><h1>{title}</h1>{body}</body></html>"
    )


def _question(view: LinkView) -> str:
    asked = view.interrupt
    if asked is None:
        return ""
    return f"<p>An agent asks:</p><pre>{_seen(asked.question)}</pre>{_action(asked)}"


def _action(asked: Interrupt) -> str:
    if asked.call is None:
        return ""
    value = value_of(asked.call.arguments)
    arguments = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True)
    return (
        f"<p>It would call <code>{_seen(asked.call.tool)}</code> with exactly these arguments:</p>"
        f"<pre>{_seen(arguments)}</pre>"
    )


def _form(view: LinkView) -> str:
    closes = timestamp(view.interrupt.expires_at_ms) if view.interrupt else ""
    return (
        '<form method="post"><input type="hidden" name="confirm" value="yes">'
        f'<button type="submit">{_seen(view.answer)}</button></form>'
        f"<p>Nothing happens until you press the button. The question closes at {_seen(closes)}.</p>"
    )


def _outcome(view: LinkView) -> str:
    at = timestamp(view.decided_at_ms)
    told = f"<p>The answer is <strong>{_seen(view.decided)}</strong>, given at {_seen(at)}.</p>"
    if view.decided == view.answer:
        return told
    return (
        f"{told}<p>This link stands for <em>{_seen(view.answer)}</em>; the first answer counts.</p>"
    )


def _seen(text: str) -> str:
    """The text as HTML, with what could not be seen made visible."""
    return escape("".join(_shown(c) for c in text), quote=True)


def _shown(char: str) -> str:
    hidden = unicodedata.category(char) in _UNSEEN and char not in _SEEN
    return f"\\u{{{ord(char):x}}}" if hidden else char
