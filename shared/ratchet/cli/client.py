"""The HTTP API as methods. Every request is safe to repeat, so short outages are sat out."""

import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from ratchet.cli.config import ApiConfig
from ratchet.cli.errors import ApiProblem, CliError, NotReachable
from ratchet.contracts import limits
from ratchet.contracts.delivery_api import DeadDeliveryListView, DeliveryListView, DeliveryView
from ratchet.contracts.deployment_api import AgentListView, HealthView, RoutingView
from ratchet.contracts.interrupt_api import InterruptListView
from ratchet.contracts.names import Json
from ratchet.contracts.problem import Problem
from ratchet.contracts.step_api import StepListView
from ratchet.contracts.task_api import TaskListView, TaskView
from ratchet.contracts.usage_report import UsageReportView

Model = TypeVar("Model", bound=BaseModel)

TRIES = 4
_FIRST_PAUSE_SECONDS = 0.5
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
_TIMEOUT = httpx.Timeout(limits.MAX_WAIT_SECONDS + 15.0, connect=5.0)


class ApiClient:
    """Talks to one deployment, local or not."""

    def __init__(self, http: httpx.Client, *, tries: int = TRIES) -> None:
        self._http = http
        self._tries = tries

    @classmethod
    def connect(
        cls,
        config: ApiConfig,
        *,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> Self:
        """A client that sends the key, or signs with AWS credentials when there is none.

        Raises:
            CliError: the address or the key is not one, or there is nothing to authenticate with.
        """
        try:
            url = httpx.URL(config.url)
        except httpx.InvalidURL as exc:
            raise CliError(f"{config.source}={config.url!r} is not a URL: {exc}") from exc
        if url.scheme not in ("http", "https") or not url.host:
            raise CliError(f"{config.source}={config.url!r} is not an http(s) URL")
        if config.key is not None and not (config.key.isascii() and config.key.isprintable()):
            raise CliError("RATCHET_API_KEY holds what no key has: a line break, or no ASCII")
        auth = None
        if config.key is None:
            from ratchet.cli.signing import SigV4  # noqa: PLC0415 - loads botocore

            auth = SigV4.from_session(url.host)
        http = httpx.Client(
            base_url=url,
            headers={"x-api-key": config.key} if config.key else None,
            auth=auth,
            timeout=_TIMEOUT,
            trust_env=not config.is_loopback,  # a proxy cannot reach this machine's loopback
            transport=transport,
        )
        return cls(http, tries=tries)

    def submit(
        self, body: Mapping[str, Json], *, idempotency_key: str | None = None, wait: int = 0
    ) -> TaskView:
        """Create a task; without a key of the caller's, one is made so that a retry creates nothing twice."""
        return self._create("/v1/tasks", body, idempotency_key=idempotency_key, wait=wait)

    def task(self, task_id: str, *, wait: int = 0) -> TaskView:
        """The task; with `wait`, held back until it has ended or so many seconds are over."""
        return self._ask(
            TaskView, "GET", f"/v1/tasks/{_segment(task_id)}", params=_query(wait=wait)
        )

    def steps(self, task_id: str) -> StepListView:
        """The committed steps of a task."""
        return self._ask(StepListView, "GET", f"/v1/tasks/{_segment(task_id)}/steps")

    def tasks(
        self, *, status: str | None = None, agent: str | None = None, limit: int
    ) -> TaskListView:
        """The newest tasks, over as many pages as `limit` needs."""
        found = TaskListView(tasks=[], next_cursor=None)
        while True:
            page = self._ask(
                TaskListView,
                "GET",
                "/v1/tasks",
                params=_query(
                    status=status,
                    agent=agent,
                    limit=min(limit - len(found.tasks), limits.MAX_PAGE_SIZE),
                    cursor=found.next_cursor,
                ),
            )
            found = TaskListView(tasks=found.tasks + page.tasks, next_cursor=page.next_cursor)
            if page.next_cursor is None or not page.tasks or len(found.tasks) >= limit:
                return found

    def cancel(self, task_id: str) -> TaskView:
        """Cancel a task."""
        return self._ask(TaskView, "POST", f"/v1/tasks/{_segment(task_id)}/cancel")

    def resume(self, task_id: str, body: Mapping[str, Json]) -> TaskView:
        """Let an ended task go on; one that runs is answered as it is."""
        return self._ask(TaskView, "POST", f"/v1/tasks/{_segment(task_id)}/resume", json=body)

    def interrupts(self) -> InterruptListView:
        """All open questions, newest task first."""
        found = self._ask(InterruptListView, "GET", "/v1/interrupts")
        while found.next_cursor is not None:
            query = _query(cursor=found.next_cursor)
            page = self._ask(InterruptListView, "GET", "/v1/interrupts", params=query)
            found = InterruptListView(
                interrupts=found.interrupts + page.interrupts, next_cursor=page.next_cursor
            )
        return found

    def answer(self, task_id: str, interrupt_id: str, body: Mapping[str, Json]) -> TaskView:
        """Answer a question; the same answer again gets the same result."""
        path = f"/v1/tasks/{_segment(task_id)}/interrupts/{_segment(interrupt_id)}"
        return self._ask(TaskView, "POST", path, json=body)

    def fork(
        self, task_id: str, body: Mapping[str, Json], *, idempotency_key: str | None = None
    ) -> TaskView:
        """Create a fork of a task; as with `submit`, a retry creates nothing twice."""
        path = f"/v1/tasks/{_segment(task_id)}/fork"
        return self._create(path, body, idempotency_key=idempotency_key)

    def deliveries(self, task_id: str) -> DeliveryListView:
        """How a task was announced."""
        return self._ask(DeliveryListView, "GET", f"/v1/tasks/{_segment(task_id)}/deliveries")

    def dead_deliveries(self, *, limit: int) -> DeadDeliveryListView:
        """Announcements that were given up, over as many pages as `limit` needs."""
        found = DeadDeliveryListView(deliveries=[], next_cursor=None)
        while True:
            size = min(limit - len(found.deliveries), limits.MAX_PAGE_SIZE)
            query = _query(limit=size, cursor=found.next_cursor)
            page = self._ask(DeadDeliveryListView, "GET", "/v1/deliveries", params=query)
            both = found.deliveries + page.deliveries
            found = DeadDeliveryListView(deliveries=both, next_cursor=page.next_cursor)
            if page.next_cursor is None or not page.deliveries or len(both) >= limit:
                return found

    def redeliver(self, task_id: str, delivery_id: str) -> DeliveryView:
        """Send an announcement again."""
        path = f"/v1/tasks/{_segment(task_id)}/deliveries/{_segment(delivery_id)}/redeliver"
        return self._ask(DeliveryView, "POST", path)

    def agents(self) -> AgentListView:
        """What is deployed."""
        return self._ask(AgentListView, "GET", "/v1/agents")

    def routes(self) -> RoutingView:
        """The routing table in force."""
        return self._ask(RoutingView, "GET", "/v1/routes")

    def usage(self, *, first: str | None, last: str | None, by: str) -> UsageReportView:
        """What was used on these days."""
        # A mapping: `from` is no name in Python.
        query = {"from": first, "to": last, "by": by}
        return self._ask(UsageReportView, "GET", "/v1/usage", params=_query(**query))

    def health(self) -> HealthView:
        """Whether the API answers, and its version."""
        return self._ask(HealthView, "GET", "/v1/health")

    def path(self, *segments: str) -> str:
        """The path of a resource; what was typed cannot lead to another one."""
        return "/".join(("/v1", *map(_segment, segments)))

    def ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | None] | None = None,
        json: Mapping[str, Json] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Model:
        """The answer to any other request."""
        return self._ask(
            model, method, path, params=_query(**(query or {})), json=json, headers=headers
        )

    def send(self, method: str, path: str) -> None:
        """Send a request whose answer says nothing."""
        self._checked(self._http.build_request(method, path))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _create(
        self,
        path: str,
        body: Mapping[str, Json],
        *,
        idempotency_key: str | None,
        wait: int = 0,
    ) -> TaskView:
        key = idempotency_key or f"cli-{secrets.token_hex(16)}"
        headers = {"Idempotency-Key": key}
        return self._ask(
            TaskView, "POST", path, params=_query(wait=wait), json=body, headers=headers
        )

    def _ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Json] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Model:
        try:
            request = self._http.build_request(
                method, path, params=params, json=json, headers=headers
            )
        except ValueError as exc:  # JSON holds no NaN or half characters, a header no umlauts
            raise CliError(
                f"the request cannot be sent: {exc}",
                "Numbers must be finite, texts UTF-8, and an idempotency key or ETag ASCII.",
            ) from exc
        response = self._checked(request)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as exc:
            raise CliError(
                f"{request.url} did not answer as a Ratchet API does",
                "Check RATCHET_API_URL; a deployment of another version can cause this too.",
            ) from exc

    def _checked(self, request: httpx.Request) -> httpx.Response:
        response = self._send(request)
        if response.is_error:
            raise ApiProblem(_problem(response))
        return response

    def _send(self, request: httpx.Request) -> httpx.Response:
        pause = _FIRST_PAUSE_SECONDS
        for left in reversed(range(self._tries)):
            try:
                response = self._http.send(request)
            except httpx.TransportError as exc:
                if not left:
                    raise _unreachable(request, exc) from exc
            else:
                if response.status_code not in _RETRIED_STATUSES or not left:
                    return response
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last try returns or raises")


def _unreachable(request: httpx.Request, exc: httpx.TransportError) -> NotReachable:
    origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
    return NotReachable(
        f"{origin} does not answer ({str(exc) or type(exc).__name__})",
        "Is `ratchet dev` running, or RATCHET_API_URL right? `ratchet doctor` shows what is set.",
    )


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        # The API Gateway's own refusals ({"message": ...}) and proxies in between.
        title = f"HTTP {response.status_code} {response.reason_phrase}".rstrip()
        return Problem(
            type="about:blank",
            title=title,
            status=response.status_code,
            detail=_message(response),
            code="http_error",
        )


def _message(response: httpx.Response) -> str:
    try:
        message = response.json()["message"]
    except (ValueError, LookupError, TypeError):
        message = response.text[:300]
    return str(message) or "no details were given"


def _query(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value}


def _segment(text: str) -> str:
    """A path segment: what was typed must not lead to another resource, as `..` would."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted
