"""Every DynamoDB key, in one place. What is a tenant's has the tenant first in its partition key; ids are checked.

What all tenants share, a model provider or the running limit, belongs to none of them and holds nothing of theirs.

    TENANT#t#TASK#task_...       STEP#000007      one committed step, put once
                                 SPENT#000007     what attempts at the step may have spent, when more than one call did
                                 ALLOWANCE        what the task has been given of its tenant's day
                                 EFFECT#000007    what the attempt that begins the step's unsafe calls is about to do
                                 EFFECT#000007#k  one unsafe tool call: intent, then result
                                 MEMORY#000007#k  that a tool call of the step has changed a memory
                                 DELIVERY#evt_..  how announcing one event went
                                 TASK             the head (sorts last: one descending query reads head and last step)
                                 USAGE            how far the task is in the usage ledger (behind what that query reads)
    TENANT#t#IDEMPOTENCY#sha256  IDEMPOTENCY      the task, or the batch, that a key created
    TENANT#t#BATCH#batch_...     BATCH            which tasks were submitted together
    TENANT#t#SCHEDULES           SCHEDULE#id      when a schedule fires, and what came of it last
                                 REQUEST#id       the task that it submits
                                 DELETED#id       that there was such a schedule
    TENANT#t#WEBHOOK#sha256      WEBHOOK          up to when a URL that answered 410 gets nothing
    TENANT#t#SESSION#s           SESSION          who runs in a session, who waits, and what was said
                                 TASK#000000007   the seventh task that came
    TENANT#t#MEMORY#user:u       KEY#k            what is remembered of user u under a key
                                 MEMORY           how many memories there are, at the most
    TENANT#t#USAGE#2026-11#3     AGENT#2026-11-22#a#m  what agent a used of model m that day, as shard 3 has counted
                                 USER#2026-11-22#u     what was used for user u
                                 SESSION#2026-11-22#s  what was used in session s
    TENANT#t#CACHE#sha256        CACHE            what a model answered to a question
    TENANT#t#GOALS#sha256        task_...         a goal that was asked of an agent, as a vector
    TENANT#t#BUDGET              2026-11-22       what was given to tasks that day, of a tenant with a cap
    TENANT#t#RATE                RATE             when the token bucket of the tenant's requests is full again
    TENANT#t#SUSPENSION          SUSPENSION       since when nothing of the tenant goes on, if it is suspended
    TENANT#t#APIKEYS             KEY#id           what is kept of an API key
    APIKEY#id                    APIKEY           whose key that is, for who has nothing but the key
    PROVIDER#name                CIRCUIT          when a deployment that fails may be tried again
    PROVIDER#name#0              LINE             up to when a shard of its quota is given away
    DEPLOYMENT                   ROUTING          the routing table that stands for the deployed one, if any
    TENANT#t#ADMISSION           SLOTS            how many of the tenant's tasks run
    ADMISSION                    LIMIT            how many tasks the deployment may run
                                 WAITING#t        when a tenant was last seen to have tasks that wait
    ADMISSION#0                  SLOTS            a shard of how many tasks run
                                 THROTTLED        a shard of how many 429s its tasks have met

Indexes: `by_tenant` (tenant_key, task_id) lists tasks and, as TENANT#t#DEAD, deliveries that were given up, as
TENANT#t#SESSIONS sessions; `due` (due, due_at) finds work that a lost message left behind; `waiting` (waiting,
wait_rank) holds the lines of the tasks that wait for a slot, one for each tenant.
"""

import hashlib
import re
import zlib

from ratchet.contracts.limits import MAX_PRIORITY
from ratchet.contracts.messages import SAFE_ID, TaskRef
from ratchet.domain.admission import Candidate
from ratchet.domain.usage import Account, Counter

HEAD = "TASK"
SESSION = "SESSION"
BATCH = "BATCH"
SCHEDULE, REQUEST, DELETED = "SCHEDULE", "REQUEST", "DELETED"
PLACE = "TASK#"
ADMISSION, LIMIT, SLOTS, THROTTLED = "ADMISSION", "LIMIT", "SLOTS", "THROTTLED"
CACHED = "CACHE"
API_KEY = "APIKEY"
RATE = "RATE"
SUSPENSION = "SUSPENSION"
STEP_PREFIX = "STEP#"
ALLOWANCE = "ALLOWANCE"
DEPLOYMENT = "DEPLOYMENT"
ROUTING = "ROUTING"
DUE_SHARDS = 8
COUNTED = "USAGE"
WEBHOOK = "WEBHOOK"
USAGE_SHARDS = 8

_WAITING = "WAITING#"


class UnsafeKey(ValueError):
    """An id holds characters that could leave its place in a key."""


def tenant_key(tenant: str) -> str:
    """The partition of a tenant in the `by_tenant` index."""
    return f"TENANT#{_safe(tenant)}"


def task_key(ref: TaskRef) -> str:
    """The partition of one task."""
    return f"{tenant_key(ref.tenant)}#TASK#{_safe(ref.task_id)}"


def step_sort_key(number: int) -> str:
    """Sort key of a step; six digits keep the order up to a million steps."""
    return f"{STEP_PREFIX}{number:06d}"


def step_number(sort_key: str) -> int:
    """The number of the step with that sort key."""
    return int(sort_key.removeprefix(STEP_PREFIX))


def spent_sort_key(number: int) -> str:
    """Sort key of what attempts at a step have reserved."""
    return f"SPENT#{number:06d}"


def plan_sort_key(number: int) -> str:
    """Sort key of the plan behind a step's unsafe tool calls; a prefix of theirs."""
    return f"EFFECT#{number:06d}"


def effect_sort_key(number: int, idempotency_key: str) -> str:
    """Sort key of an unsafe tool call."""
    return f"{plan_sort_key(number)}#{idempotency_key}"


def delivery_sort_key(event_id: str, channel: str) -> str:
    """Sort key of one event's way to one channel."""
    return f"DELIVERY#{_safe(event_id)}#{channel}"


def dead_key(tenant: str) -> str:
    """The partition of a tenant's dead deliveries in the `by_tenant` index."""
    return f"{tenant_key(tenant)}#DEAD"


def dead_sort_key(ref: TaskRef, event_id: str, channel: str) -> str:
    """Where a dead delivery stands in that index: beside the others of its task."""
    return f"{_safe(ref.task_id)}#{_safe(event_id)}#{channel}"


def webhook_key(tenant: str, url: str) -> str:
    """The partition of what is noted about a tenant's webhook; hashed, since callers choose it freely."""
    return f"{tenant_key(tenant)}#WEBHOOK#{hashlib.sha256(url.encode()).hexdigest()}"


def session_key(tenant: str, session_id: str) -> str:
    """The partition of a session."""
    return f"{tenant_key(tenant)}#SESSION#{_safe(session_id)}"


def sessions_key(tenant: str) -> str:
    """The partition of a tenant's sessions in the `by_tenant` index."""
    return f"{tenant_key(tenant)}#SESSIONS"


def place_sort_key(number: int) -> str:
    """Sort key of a task's place in its session."""
    return f"{PLACE}{number:09d}"


def place_number(sort_key: str) -> int:
    """The number of a place: the inverse of `place_sort_key`."""
    return int(sort_key.removeprefix(PLACE))


def is_session_id(text: str) -> bool:
    """Whether a caller's text can name a session."""
    return SAFE_ID.fullmatch(text) is not None


def batch_key(tenant: str, batch_id: str) -> str:
    """The partition of a batch of tasks."""
    return f"{tenant_key(tenant)}#BATCH#{_safe(batch_id)}"


def is_batch_id(text: str) -> bool:
    """Whether a caller's text can be the id of a batch."""
    return re.fullmatch(r"batch_[0-9A-HJKMNP-TV-Z]{26}", text) is not None


def schedules_key(tenant: str) -> str:
    """The partition of a tenant's schedules."""
    return f"{tenant_key(tenant)}#SCHEDULES"


def schedule_sort_key(kind: str, schedule_id: str) -> str:
    """Sort key of a schedule, of its request, or of what is left of it."""
    return f"{kind}#{_safe(schedule_id)}"


def is_schedule_id(text: str) -> bool:
    """Whether a caller's text can be the id of a schedule."""
    return re.fullmatch(r"schedule_[0-9A-HJKMNP-TV-Z]{26}", text) is not None


def idempotency_key(tenant: str, key: str) -> str:
    """The partition of an Idempotency-Key; hashed, since callers choose it freely."""
    return f"{tenant_key(tenant)}#IDEMPOTENCY#{hashlib.sha256(key.encode()).hexdigest()}"


def goals_key(tenant: str, scope: str) -> str:
    """The partition of the goals that are compared with each other."""
    return f"{tenant_key(tenant)}#GOALS#{_safe(scope)}"


def tenant_budget_key(tenant: str) -> str:
    """The partition of a tenant's daily budgets."""
    return f"{tenant_key(tenant)}#BUDGET"


def provider_key(deployment: str, shard: int | None = None) -> str:
    """The partition of what all executors share about a deployment, or about a shard of its quota."""
    return f"PROVIDER#{_safe(deployment)}" + ("" if shard is None else f"#{shard}")


def usage_key(ref: TaskRef, day: str) -> str:
    """The partition of the counters that a task's day goes to: its month, in the shard of the task."""
    shard = zlib.crc32(ref.task_id.encode()) % USAGE_SHARDS
    return f"{tenant_key(ref.tenant)}#USAGE#{_month(day)}#{shard}"


def usage_partitions(tenant: str, *, first_day: str, last_day: str) -> list[str]:
    """All partitions that hold counters of these days."""
    months = _months(_month(first_day), _month(last_day))
    prefix = f"{tenant_key(tenant)}#USAGE"
    return [f"{prefix}#{month}#{shard}" for month in months for shard in range(USAGE_SHARDS)]


def usage_sort_key(counter: Counter) -> str:
    """Sort key of a counter; what may hold any character stands last."""
    place = f"{counter.account}#{counter.day}"
    if counter.account is not Account.AGENT:
        return f"{place}#{counter.name}"
    return f"{place}#{_safe(counter.name)}#{counter.model}"


def usage_range(account: Account, *, first_day: str, last_day: str) -> tuple[str, str]:
    """The sort keys between which the counters of these days lie; `$` follows `#`."""
    return f"{account}#{first_day}#", f"{account}#{last_day}$"


def counter_of(sort_key: str) -> Counter:
    """The counter of a sort key: the inverse of `usage_sort_key`."""
    account, day, name = sort_key.split("#", 2)
    if account != Account.AGENT:
        return Counter(Account(account), day, name)
    agent, model = name.split("#", 1)
    return Counter(Account.AGENT, day, agent, model)


def admission_key(shard: int) -> str:
    """The partition of a shard of what the deployment counts."""
    return f"{ADMISSION}#{shard}"


def tenant_slots_key(tenant: str) -> str:
    """The partition of what is counted of a tenant's running tasks."""
    return f"{tenant_key(tenant)}#{ADMISSION}"


def waiting_sort_key(tenant: str) -> str:
    """Sort key of the note that a tenant has waiting tasks."""
    return f"{_WAITING}{_safe(tenant)}"


def waiting_tenant(sort_key: str) -> str:
    """The tenant of such a note: the inverse of `waiting_sort_key`."""
    return sort_key.removeprefix(_WAITING)


def wait_rank(candidate: Candidate) -> str:
    """The place of a task in its tenant's line: the smallest goes first."""
    urgency, since_ms, task_id = candidate.rank
    return f"{urgency + MAX_PRIORITY}#{since_ms:015d}#{_safe(task_id)}"


def candidate_of(tenant: str, rank: str) -> Candidate:
    """The task of a place in the line: the inverse of `wait_rank`."""
    urgency, since_ms, task_id = rank.split("#", 2)
    return Candidate(tenant, task_id, int(since_ms), MAX_PRIORITY - int(urgency))


def cache_key(tenant: str, digest: str) -> str:
    """The partition of a cached answer."""
    return f"{tenant_key(tenant)}#CACHE#{_safe(digest)}"


def tenant_rate_key(tenant: str) -> str:
    """The partition of the token bucket of a tenant's requests."""
    return f"{tenant_key(tenant)}#{RATE}"


def suspension_key(tenant: str) -> str:
    """The partition of a tenant's suspension."""
    return f"{tenant_key(tenant)}#{SUSPENSION}"


def api_keys_key(tenant: str) -> str:
    """The partition of a tenant's API keys."""
    return f"{tenant_key(tenant)}#APIKEYS"


def api_key_sort_key(key_id: str) -> str:
    """Sort key of what is kept of an API key."""
    return f"KEY#{_safe(key_id)}"


def api_key_id(sort_key: str) -> str:
    """The id of such a record: the inverse of `api_key_sort_key`."""
    return sort_key.removeprefix("KEY#")


def api_key_pointer(key_id: str) -> str:
    """The partition that tells whose key it is."""
    return f"{API_KEY}#{_safe(key_id)}"


def due_key(ref: TaskRef) -> str:
    """The shard of the `due` index: spreads the writes, few enough to read them all each minute."""
    return due_shards()[zlib.crc32(ref.task_id.encode()) % DUE_SHARDS]


def due_shards() -> list[str]:
    """All partitions of the `due` index."""
    return [f"DUE#{shard}" for shard in range(DUE_SHARDS)]


def payload_key(ref: TaskRef, sha256: str) -> str:
    """S3 key of a large body, by content hash, under its tenant's prefix."""
    return f"{payload_prefix(ref)}{sha256}"


def payload_prefix(ref: TaskRef) -> str:
    """What the S3 keys of all large bodies of a task begin with."""
    return f"{_safe(ref.tenant)}/{_safe(ref.task_id)}/"


def tenant_prefix(tenant: str) -> str:
    """What the S3 keys of all large bodies of a tenant begin with."""
    return f"{_safe(tenant)}/"


def kind_of(partition: str, sort_key: str) -> str:
    """What an item is, in a word, for those who count what they delete; also of kinds that are newer than this."""
    if partition.startswith(f"{API_KEY}#"):
        return "api key pointers"
    _, _, rest = partition.removeprefix("TENANT#").partition("#")
    kind = rest.split("#")[0]
    if kind == HEAD:
        return "tasks" if sort_key == HEAD else "task records"
    return f"{kind.lower() or ADMISSION.lower()} items"


def ref_of(partition: str) -> TaskRef:
    """The task of a partition key: the inverse of `task_key`.

    Raises:
        UnsafeKey: it is not a task's key.
    """
    match partition.split("#"):
        case ["TENANT", tenant, "TASK", task_id]:
            return TaskRef(tenant, task_id)
        case _:
            raise UnsafeKey(f"{partition[:80]!r} is not the key of a task")


def _month(day: str) -> str:
    return day[:7]


def _months(first: str, last: str) -> list[str]:
    """From 2026-11 to 2027-01, both included."""
    begin, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(begin, end + 1)]


def _safe(part: str) -> str:
    if not SAFE_ID.fullmatch(part):
        raise UnsafeKey(f"{part[:40]!r} cannot be part of a key")
    return part
