"""What can go wrong at a call, and who decides that it does: a plan, or dice."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """One way in which a call goes wrong."""

    REFUSED = "refused"  # throttled or 5xx: certainly not done
    UNKNOWN = "unknown"  # an error, and it was not done
    LOST = "lost"  # done, but the answer was lost
    DIED_BEFORE = "died_before"
    DIED_AFTER = "died_after"
    STALLED = "stalled"  # until whoever waits for the process has given up; then it goes on
    REJECTED = "rejected"  # a model provider's no for good
    OVERFLOW = "overflow"  # the provider finds this prompt too long
    MALFORMED = "malformed"  # model output that fits nothing
    UNKNOWN_TOOL = "unknown_tool"
    TRUNCATED = "truncated"
    UPGRADED = "upgraded"  # a new version of all code is deployed
    ABORTED = "aborted"  # the execution dies outside of every Catch
    ORPHANED = "orphaned"  # the execution dies while its Lambda runs on
    DUPLICATED = "duplicated"
    DELAYED = "delayed"
    UNDELETED = "undeleted"  # the message was handled, and deleting it failed


PORT = (
    Fault.REFUSED,
    Fault.UNKNOWN,
    Fault.LOST,
    Fault.DIED_BEFORE,
    Fault.DIED_AFTER,
    Fault.STALLED,
)
MODEL = (
    *PORT,
    Fault.REJECTED,
    Fault.OVERFLOW,
    Fault.MALFORMED,
    Fault.UNKNOWN_TOOL,
    Fault.TRUNCATED,
)
INVOKE = (*PORT, Fault.UPGRADED, Fault.ABORTED, Fault.ORPHANED)
RING = (Fault.REFUSED, Fault.UNKNOWN, Fault.LOST, Fault.ABORTED)
RECEIVE = (Fault.DUPLICATED, Fault.DELAYED, Fault.UNDELETED, Fault.REFUSED)
EVENT = (Fault.LOST, Fault.DUPLICATED, Fault.DELAYED)

_SLOT_SITES = (
    "dispatcher:store.board",
    "dispatcher:store.counts",
    "dispatcher:store.first_waiting",
    "dispatcher:store.seat",
    "dispatcher:store.note_waiting",
    "dispatcher:store.park",
    "dispatcher:store.throttled",
    "dispatcher:store.move_limit",
    "step_executor:store.note_throttled",
    "deliverer:store.unseat",
    "deliverer:store.board",
    "deliverer:store.counts",
    "deliverer:store.first_waiting",
    "deliverer:inbox.send",
    "sweeper:inbox.depth",
    "sweeper:store.board",
    "sweeper:store.first_waiting",
    "sweeper:store.note_waiting",
    "sweeper:store.counts",
    "sweeper:store.throttled",
    "sweeper:store.move_limit",
)
"""Where running tasks are limited."""

_SESSION_SITES = (
    "submit:store.session",
    "submit:store.create_in_session",
    "submit:store.created_by",
    "submit:store.load_tip",
    "submit:store.load",
    "submit:store.load_remains",
    "submit:store.begun_effects",
    "submit:store.move_session",
    "submit:store.commit",
    "submit:workflow.stop",
    "submit:outbox.send",
    "dispatcher:store.session",
    "dispatcher:store.move_session",
    "dispatcher:store.stand_by",
    "dispatcher:store.commit",
    "dispatcher:store.load",
    "dispatcher:store.begun_effects",
    "dispatcher:payloads.put",
    "deliverer:store.session",
    "deliverer:store.move_session",
    "deliverer:store.begun_effects",
)
"""Where tasks share a session."""

_GONE_SITES = (
    "deliverer:store.disable_webhook",
    "redeliver:store.load_tip",
    "redeliver:store.task_deliveries",
    "redeliver:store.enable_webhook",
    "redeliver:store.redeliver",
    "redeliver:store.due_again",
    "redeliver:outbox.send",
)
"""Where a receiver wants no more, and somebody sends an announcement again."""

_OFFICE_SITES = (
    "submit:suspensions.find",
    "fork:suspensions.find",
    "resume:suspensions.find",
    "dispatcher:suspensions.find",
    "step_executor:suspensions.find",
    "step_executor:store.load_tip",
    "deliverer:suspensions.find",
    "sweeper:suspensions.find",
    "operate:suspensions.find",
    "operate:suspensions.begin",
    "operate:suspensions.end",
    "operate:store.list_tasks",
    "operate:store.load_tip",
    "operate:workflow.stop",
    "operate:payloads.get",
    "operate:holdings.scan",
    "operate:holdings.delete",
    "batch:batches.create_batch",
    "batch:batches.batch",
    "batch:batches.members",
    "batch:inbox.send",
    "forget:store.session",
    "forget:store.load_tip",
    "forget:store.load_remains",
    "forget:store.load",
    "forget:store.begun_effects",
    "forget:store.list_tasks",
    "forget:store.session_tasks",
    "forget:store.move_session",
    "forget:store.counted",
    "forget:store.count",
    "forget:store.begin_erasing",
    "forget:payloads.get",
    "forget:payloads.erase",
    "forget:store.erase_below",
    "forget:store.erase_head",
    "forget:store.erase_session",
    "forget:memory.clear",
)
"""Where operators suspend and erase tenants, people are forgotten, and batches are submitted."""

KINDS: dict[str, tuple[Fault, ...]] = {
    **dict.fromkeys(
        (
            "submit:store.create_task",
            "submit:inbox.send",
            "cancel:store.load_tip",
            "cancel:store.commit",
            "cancel:workflow.stop",
            "cancel:outbox.send",
            "submit:payloads.put",
            "submit:payloads.get",
            "fork:payloads.put",
            "fork:payloads.get",
            "cancel:payloads.put",
            "cancel:payloads.get",
            "resume:payloads.put",
            "resume:payloads.get",
            "decide:payloads.put",
            "decide:payloads.get",
            "dispatcher:payloads.get",
            "step_executor:payloads.put",
            "step_executor:payloads.get",
            "deliverer:payloads.get",
            "sweeper:payloads.put",
            "sweeper:payloads.get",
            "sweeper:payloads.erase",
            "resume:store.load_tip",
            "resume:store.begun_effects",
            "resume:store.reopen",
            "resume:inbox.send",
            "decide:store.load_tip",
            "decide:store.load",
            "decide:store.commit",
            "decide:store.reopen",
            "decide:inbox.send",
            "decide:outbox.send",
            "fork:store.load",
            "fork:store.create_task",
            "fork:inbox.send",
            "dispatcher:store.load_tip",
            "dispatcher:store.load_remains",
            "dispatcher:workflow.start",
            "dispatcher:store.mark_started",
            "step_executor:store.load",
            "step_executor:store.load_remains",
            "step_executor:store.commit",
            "step_executor:store.begun_effects",
            "step_executor:store.adopt_plan",
            "step_executor:store.reserved",
            "step_executor:store.reserve",
            "step_executor:store.begin_effect",
            "step_executor:store.retake_effect",
            "step_executor:store.end_effect",
            "step_executor:memory.look",
            "step_executor:memory.change",
            "step_executor:memory.page",
            "step_executor:tool.look",
            "step_executor:tool.put",
            "step_executor:tool.fetch",
            "step_executor:tool.pay",
            "step_executor:tool.send",
            "step_executor:tool.page",
            "step_executor:tool.buy",
            "step_executor:tool.mail",
            "step_executor:tool.check",
            "deliverer:store.load_tip",
            "deliverer:store.load",
            "deliverer:store.load_remains",
            "deliverer:store.deliveries",
            "deliverer:store.record_delivery",
            "deliverer:store.webhook_disabled_until",
            "deliverer:store.give_up_delivery",
            "deliverer:store.counted",
            "deliverer:store.count",
            "deliverer:store.due_again",
            "deliverer:announce.sns",
            "deliverer:announce.webhook",
            "sweeper:store.due_tasks",
            "sweeper:store.load_tip",
            "sweeper:store.load_remains",
            "sweeper:store.postpone",
            "sweeper:store.commit",
            "sweeper:store.reopen",
            "sweeper:store.mark_started",
            "sweeper:store.erase",
            "sweeper:inbox.send",
            "sweeper:outbox.send",
            *_SLOT_SITES,
            *_SESSION_SITES,
            *_GONE_SITES,
            *_OFFICE_SITES,
            "sweeper:workflow.describe",
            "sweeper:workflow.start",
        ),
        PORT,
    ),
    "step_executor:chat.complete": MODEL,
    "execution:invoke": INVOKE,
    "execution:sqs.inbox": RING,
    "execution:sqs.outbox": RING,
    "inbox:receive": RECEIVE,
    "outbox:receive": RECEIVE,
    "events:execution_ended": EVENT,
    "events:schedule": EVENT,
}
"""Every call site and what may go wrong there: the rows and cells of the coverage matrix."""

Place = tuple[str, int]  # a call site and which of its calls, counted from 1
Plan = Mapping[Place, Fault]


class Injector:
    """Decides at each call; remembers what it did."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = dict(plan or {})
        self.places: Counter[str] = Counter()
        self.calls: list[str] = []
        self.injected: dict[Place, Fault] = {}
        self.last_fault_ms = 0
        self._dice: Random | None = None
        self._rate = 0.0
        self._until_ms = 0
        self._never: AbstractSet[Fault] = frozenset()

    def roll(
        self, dice: Random, *, rate: float, until_ms: int, never: AbstractSet[Fault] = frozenset()
    ) -> None:
        """From now on the dice decide, until that time; those faults are left out."""
        self._dice, self._rate, self._until_ms = dice, rate, until_ms
        self._never = never

    def next(self, site: str, *, now_ms: int) -> Fault | None:
        """What goes wrong at this call."""
        number = self.places[site] = self.places.get(site, 0) + 1
        self.calls.append(site)
        place = (site, number)
        fault = self.plan.get(place) if self.plan else None
        dice = self._dice if now_ms < self._until_ms else None
        if fault is None and dice is not None and dice.random() < self._rate:
            thrown = dice.choice(KINDS[site])
            fault = None if thrown in self._never else thrown
        if fault is not None:
            self.note(place, fault, now_ms)
        return fault

    def note(self, place: Place, fault: Fault, now_ms: int) -> None:
        """Something went wrong there."""
        self.injected[place] = fault
        self.last_fault_ms = now_ms


def plan_to_json(plan: Plan) -> dict[str, str]:
    """A plan as JSON."""
    return {f"{site}#{number}": fault.value for (site, number), fault in plan.items()}


def plan_from_json(data: Mapping[str, str]) -> dict[Place, Fault]:
    """The inverse of `plan_to_json`."""
    split = {key: key.rsplit("#", 1) for key in data}
    return {(split[k][0], int(split[k][1])): Fault(fault) for k, fault in data.items()}
