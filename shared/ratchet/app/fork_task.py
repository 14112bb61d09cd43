"""Fork: a new task that goes on from a committed step of another one, with changes."""

from dataclasses import dataclass

from ratchet.app.new_tasks import NewTasks, tighten
from ratchet.app.read_task import ReadTask
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.priced_models import ONLY_EMBEDS, how_to_price
from ratchet.contracts.request_errors import InvalidRequest, ModelNotPriced
from ratchet.contracts.task_api import ForkRequest
from ratchet.domain.forking import fork_point, instruction, with_answers
from ratchet.domain.task import Fork, History, Task
from ratchet.ports import Created


@dataclass(frozen=True, slots=True)
class ForkTask(NewTasks):
    """The use case of `POST /v1/tasks/{task_id}/fork`.

    The fork holds a copy of what it inherits, so nothing that becomes of its parent matters to it. Effects of inherited
    steps are not repeated: their recorded answers are inherited. Steps, cost and deadline count from the fork on.
    """

    def __call__(
        self, parent: TaskRef, request: ForkRequest, *, idempotency_key: str | None = None
    ) -> Created:
        """Create the fork, or find the one that the same key, parent and body created before.

        Raises:
            TaskNotFound: this tenant has no such task.
            UnknownAgent, ModelNotPriced, InvalidRequest: the request cannot be carried out.
            TenantSuspended: nothing of this tenant may begin.
            TaskNotForkable: what the step did is not known.
            IdempotencyKeyReused: the key came with another parent or body before.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        self._check_tenant(parent.tenant)
        history = ReadTask(self.store, self.clock).timeline(parent)
        asked = request.model_dump_json(exclude_none=True)
        claim = self.claim(idempotency_key, f"fork of {parent.task_id}\n{asked}")
        return self._create(self._task(history, request), claim)

    def _task(self, history: History, request: ForkRequest) -> Task:
        parent = history.task
        agent = self.agents.find(parent.agent)
        point = fork_point(history, request.step)
        first = point.next if point.inherited else agent.first_step
        inherited = with_answers(point.inherited, request.tool_answers)
        if request.instruction is not None:
            inherited = (*inherited, instruction(request.instruction, before=first))
        return Task(
            ref=TaskRef(parent.ref.tenant, self.ids.task_id()),
            goal=parent.goal,
            agent=agent.name,
            agent_version=agent.version,
            first_step=first,
            limits=tighten(agent.limits, request.limits),
            created_at_ms=self.clock.now_ms(),
            user_id=parent.user_id,
            webhook_url=self._webhook_url(request.webhook),
            metadata=request.metadata,
            model=self._priced(request.model) or parent.model,
            rating=parent.rating,
            routes=self.routing.current().routes,
            fork=Fork(parent.ref.task_id, point.step, inherited),
            priority=parent.priority,
            earlier=parent.earlier,
            earlier_untrusted=parent.earlier_untrusted,
        )

    def _priced(self, model: str | None) -> str | None:
        """The model, if what it costs is known: no other is ever called."""
        if model is not None and model not in self.models.catalogue:
            raise ModelNotPriced(f"model: {model!r} has no price; {how_to_price(model)}")
        if model is not None and self.models.catalogue.spec(model).is_embedding:
            raise InvalidRequest(f"model: a step cannot ask {model!r}, {ONLY_EMBEDS}")
        return model
