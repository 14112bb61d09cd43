"""Signed links: a person answers a question by a click, without credentials of the API."""

import base64
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from functions.api.current import Routes, use_cases
from functions.api.link_page import CONFIRMED, page
from ratchet.app.answer_by_link import AnswerByLink, LinkView

routes = Routes()


@routes.get("/v1/links/<token>", include_in_schema=False)
def look(token: str) -> Response[str]:
    """What the link would do. Looking does nothing: scanners look, too."""
    return page(_found(_by_link().look(token)))


@routes.post("/v1/links/<token>", include_in_schema=False)
def answer(token: str) -> Response[str]:
    """The answer that the link stands for, once the page's button was pressed."""
    by_link = _by_link()
    if not _is_confirmed():
        return page(_found(by_link.look(token)), status=HTTPStatus.BAD_REQUEST)
    return page(_found(by_link.answer(token)))


def _is_confirmed() -> bool:
    event = routes.current_event.raw_event
    body = (event.get("body") or "").encode()
    return (base64.b64decode(body) if event.get("isBase64Encoded") else body) == CONFIRMED


def _by_link() -> AnswerByLink:
    found = use_cases().by_link
    if found is None:
        raise NotFoundError
    return found


def _found(view: LinkView | None) -> LinkView:
    """Whoever makes a link up learns what they would of any path that is none."""
    if view is None:
        raise NotFoundError
    return view
