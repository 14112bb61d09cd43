"""Signed links: the token in the URL decides for whoever has it, so it is in nothing that Ratchet tells of itself.

API Gateway's access log names the route, not the path (tests/infra/test_access.py), and the api sends no spans at all
(tests/infra/test_traces.py). What is left is what the function itself writes.
"""

from typing import Any

import pytest

from functions.api import current
from ratchet.app.traced_step import TracedStep
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import INTERRUPT_SECONDS
from ratchet.observability import logger
from ratchet.testing.spans import RecordedSpans
from tests.api_wiring import wired
from tests.canaries import canary, forms
from tests.integration.canaries.town import listening
from tests.unit.functions.test_api_links import Office, call, look, plugged, press, request

SLICE = 12
"""Letters of a token that nobody writes by chance."""


def parts(token: str) -> list[str]:
    """All that must not be seen of a token: any slice of it, in whatever form."""
    slices = [token[at : at + SLICE] for at in range(0, len(token) - SLICE + 1)]
    return [form for piece in slices for form in forms(piece)[:2]] + list(forms(token))


class Broken:
    """A use case that meets a bug, or a service that is gone, with the token in its hand."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def __getattr__(self, _: str) -> Any:
        def use(token: str) -> None:
            raise self._error(f"no use for {token}")

        return use


def live(office: Office, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Everything that one may do with links, and what may go wrong; the statuses of the answers."""
    approve, reject = (office.tokens()[answer] for answer in ("approve", "reject"))
    flipped = approve[:-2] + ("AA" if not approve.endswith("AA") else "BB")
    answers = [look(approve), look(flipped), press(flipped), call(request("PUT", approve, "x"))]
    answers += [call(request("POST", approve, body)) for body in (None, "", approve)]
    for error in (RuntimeError, StoreUnavailable):
        broken = wired(office, by_link=Broken(error))
        monkeypatch.setattr(current, "wiring", lambda broken=broken: broken)
        answers += [look(approve), press(approve)]
    office.gate = office.rates
    plugged(office, monkeypatch)
    answers += [look(approve) for _ in range(4)]
    office.clock.advance(3600)
    answers += [press(approve), press(approve), press(reject), look(reject)]
    office.clock.advance(INTERRUPT_SECONDS)
    answers += [look(approve), press(reject)]
    office.run(office.ref)
    office.announce_all(office.ref)
    return [status for status, _, _ in answers]


def test_no_part_of_a_links_token_is_in_logs_metrics_or_spans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    office = plugged(Office(), monkeypatch)
    spans = RecordedSpans()
    monkeypatch.setattr(
        office, "executor", lambda plain=office.executor: TracedStep(plain(), spans)
    )
    tokens = list(office.tokens().values())
    with listening() as told:
        statuses = live(office, monkeypatch)
    assert set(statuses) >= {200, 400, 404, 410, 429, 500, 503}
    told.spans, told.printed = repr(spans.spans), capsys.readouterr().out
    assert '"message":"unhandled error"' in told.logs.getvalue()
    assert "execute_tool" in told.spans
    for place, text in told.places().items():
        for token in tokens:
            assert not [part for part in parts(token) if part in text], place


def test_a_slice_of_a_token_would_be_found() -> None:
    token = f"{canary('goal')}.{canary('user_id')}"
    with listening() as told:
        logger.info("planted", extra={"problem": f"/v1/links/{token[5:-5]}"})
    assert any(part in told.logs.getvalue() for part in parts(token))
