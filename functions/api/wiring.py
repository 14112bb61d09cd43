"""What the api is made of, built once per sandbox and only when first needed."""

from dataclasses import dataclass, field
from pathlib import Path

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import batches, checkpoints, memories, schedules
from ratchet.adapters.eventbridge_scheduler import EventBridgeTimers, FiringTarget
from ratchet.adapters.rotated_secret import RotatedSecret
from ratchet.adapters.signing_keys import SecretsManagerSigningKeys
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.agents import AgentDirectory
from ratchet.app.answer_by_link import AnswerByLink
from ratchet.app.batches import ReadBatch, SubmitBatch
from ratchet.app.cancel_task import CancelTask
from ratchet.app.cursors import Cursors
from ratchet.app.decide_interrupt import DecideInterrupt
from ratchet.app.decision_links import DecisionLinks
from ratchet.app.deliveries import Deliveries
from ratchet.app.fork_task import ForkTask
from ratchet.app.front_door import FrontDoor
from ratchet.app.list_memories import ListMemories
from ratchet.app.list_tasks import ListTasks
from ratchet.app.memories import Memories
from ratchet.app.rate_gate import RateGate
from ratchet.app.read_task import ReadTask
from ratchet.app.read_usage import ReadUsage
from ratchet.app.resume_task import ResumeTask
from ratchet.app.schedules import Schedules
from ratchet.app.sessions import Sessions
from ratchet.app.submit_task import SubmitTask
from ratchet.app.task_events import TaskEvents
from ratchet.app.user_erasure import UserErasure
from ratchet.cold_start import once
from ratchet.contracts.access import Identity
from ratchet.contracts.settings import ApiSettings
from ratchet.domain.task_bill import Functions
from ratchet.domain.task_cost import DEPLOYED
from ratchet.ports import Clock
from ratchet.submitting import rate_gate, submit_task
from ratchet.tenancy_ports import SigningKeys

_BUNDLE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Wiring:
    """The use cases behind the routes."""

    submit: SubmitTask
    submit_batch: SubmitBatch
    read_batch: ReadBatch
    read: ReadTask
    lists: ListTasks
    cancel: CancelTask
    resume: ResumeTask
    decide: DecideInterrupt
    fork: ForkTask
    events: TaskEvents
    usage: ReadUsage
    deliveries: Deliveries
    sessions: Sessions
    schedules: Schedules
    memories: Memories
    agents: AgentDirectory
    sizes: Functions = DEPLOYED  # what a task's AWS side depends on
    identity: Identity = field(default_factory=Identity)
    gate: RateGate | None = None  # None: no tenant has a rate of its own
    by_link: AnswerByLink | None = None  # None: no links are sent
    front: FrontDoor | None = None  # None: callers reach the API directly

    @property
    def memory_lists(self) -> ListMemories:
        """What is remembered, a page at a time."""
        return ListMemories(self.memories, self.sessions.cursors)

    @property
    def erase_user(self) -> UserErasure:
        """What deletes all that is kept of a user."""
        return UserErasure(self.sessions.store, self.memories, self.schedules.delete_of_user)


def _signing_keys(settings: ApiSettings, clock: Clock) -> SigningKeys:
    return SecretsManagerSigningKeys(
        lambda: client("secretsmanager"), settings.root_key_secret_arn, clock=clock
    )


def _front(settings: ApiSettings, clock: Clock) -> FrontDoor | None:
    arn = settings.origin_secret_arn
    if not arn:
        return None
    return FrontDoor(RotatedSecret(lambda: client("secretsmanager"), arn, clock=clock))


def _schedules(settings: ApiSettings, submit: SubmitTask, cursors: Cursors) -> Schedules:
    target = FiringTarget(
        settings.scheduler_function_arn, settings.scheduler_role_arn, settings.dead_letters_arn
    )
    timers = EventBridgeTimers(lambda: client("scheduler"), settings.schedule_group, target)
    return Schedules(schedules(settings, submit.clock), timers, submit, cursors)


def _by_link(
    settings: ApiSettings, decide: DecideInterrupt, keys: SigningKeys, gate: RateGate | None
) -> AnswerByLink | None:
    if settings.decision_links != "on":
        return None
    links = DecisionLinks(keys, settings.table_name)
    gates = [] if gate is None else [gate]
    return AnswerByLink(decide.store, decide, links, decide.clock, *gates)


@once
def wiring() -> Wiring:
    """The api's use cases on AWS."""
    settings = ApiSettings.from_env()
    clock = SystemClock()
    store = checkpoints(settings, clock)
    outbox = SqsInbox(client("sqs"), settings.outbox_queue_url)
    workflow = StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn)
    cancel = CancelTask(store, workflow, outbox, clock)
    submit = submit_task(settings, store, cancel, bundle=_BUNDLE)
    keys = _signing_keys(settings, clock)
    cursors, gate = Cursors(keys), rate_gate(settings, clock)
    decide = DecideInterrupt(store, submit.inbox, outbox, clock)
    kept = batches(settings, clock)
    return Wiring(
        submit=submit,
        submit_batch=SubmitBatch.of(submit, kept),
        read_batch=ReadBatch(kept),
        read=ReadTask(store, clock),
        lists=ListTasks(store, cursors),
        cancel=cancel,
        resume=ResumeTask(store, submit.inbox, submit.agents, clock, submit.is_suspended),
        decide=decide,
        fork=ForkTask.beside(submit),
        events=TaskEvents(store, clock, cursors),
        usage=ReadUsage(store, clock),
        deliveries=Deliveries(store, outbox, clock, cursors),
        sessions=Sessions(store, clock, cursors),
        schedules=_schedules(settings, submit, cursors),
        memories=Memories(memories(settings, clock), clock),
        agents=submit.agents,
        sizes=Functions(
            step_executor_mb=settings.step_executor_memory_mb, architecture=settings.architecture
        ),
        identity=Identity.from_setting(settings.identity),
        gate=gate,
        by_link=_by_link(settings, decide, keys, gate),
        front=_front(settings, clock),
    )
