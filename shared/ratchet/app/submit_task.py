"""Accept a goal: a new task from the beginning."""

from dataclasses import dataclass, replace

from ratchet.app.new_tasks import NewTasks, tighten
from ratchet.contracts.api import TaskRequest
from ratchet.contracts.limits import DEFAULT_PRIORITY
from ratchet.contracts.messages import TaskRef
from ratchet.domain.complexity import rate
from ratchet.domain.task import Task
from ratchet.ports import Created


@dataclass(frozen=True, slots=True)
class SubmitTask(NewTasks):
    """The use case of `POST /v1/tasks`."""

    def __call__(
        self, request: TaskRequest, *, tenant: str, idempotency_key: str | None = None
    ) -> Created:
        """Create the task, or find the one that the same key and body created before.

        Raises:
            UnknownAgent, ModelNotPriced, InvalidRequest: the request cannot be carried out.
            IdempotencyKeyReused: the key came with another body before.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        task = self._task(request, tenant)
        claim = self._claim(idempotency_key, request.model_dump_json(exclude_none=True))
        return self._create(task, claim)

    def _task(self, request: TaskRequest, tenant: str) -> Task:
        agent = self.agents.find(request.agent)
        first, tools = agent.first_step, len(agent.tools)
        rating = rate(request.complexity, goal=request.goal, first_step=first, tools=tools)
        task = Task(
            ref=TaskRef(tenant, self.ids.task_id()),
            goal=request.goal,
            agent=agent.name,
            agent_version=agent.version,
            first_step=first,
            limits=tighten(agent.limits, request.limits),
            created_at_ms=self.clock.now_ms(),
            user_id=request.user_id,
            webhook_url=self._webhook_url(request.webhook),
            metadata=request.metadata,
            rating=rating,
            routes=self._routes(),
            priority=DEFAULT_PRIORITY if request.priority is None else request.priority,
        )
        return replace(task, first_step=task.rated(first))
