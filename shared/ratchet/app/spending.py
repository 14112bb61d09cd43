"""What one attempt at a step spends: counted call by call, and covered before each call is sent."""

from dataclasses import dataclass, field, replace

from ratchet.app.lost_attempts import Reservation, unaccounted
from ratchet.app.prefix_watch import PrefixWatch
from ratchet.app.tenant_allowance import TenantAllowance
from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.domain.budget import worst_case
from ratchet.domain.messages import Message
from ratchet.domain.models import ModelSpec, Usage
from ratchet.domain.steps import ModelUse, Runs, StepPlan, StepResult, Totals
from ratchet.domain.task import Task


@dataclass(slots=True)
class Spending:
    """What the step has used so far, also when it ends in an error.

    `lost`: what this attempt's own calls without a known answer may have taken. `carried`: what was spent at earlier
    steps without their records knowing of it. `adopted`: what was reserved as far as the plan knew that is carried on,
    perhaps after this attempt looked.
    """

    before: Totals
    reservation: Reservation
    allowance: TenantAllowance
    carried: Charge = NO_CHARGE
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    lost: Charge = NO_CHARGE
    adopted: Charge = NO_CHARGE
    model: str | None = None
    reason: str = ""
    prefix: PrefixWatch = field(default_factory=PrefixWatch)
    by_model: dict[str, ModelUse] = field(default_factory=dict)
    is_cached: bool = False
    cached: Runs = field(default_factory=Runs)  # what was asked of the response cache

    @property
    def totals(self) -> Totals:
        """The task's totals including this step so far."""
        return Totals(
            self.before.steps,
            self.before.usage + self.usage,
            self.before.cost_microusd + self.cost_microusd + self.all_lost.microusd,
            lost_tokens=self.before.lost_tokens + self.all_lost.tokens,
        )

    @property
    def all_lost(self) -> Charge:
        """What calls without a known answer may have taken: this attempt's, and those of attempts before it."""
        return self.lost + self.reservation.others + self.carried

    @property
    def accounted(self) -> Charge:
        """What of the step's reservation these figures know of."""
        return self.reservation.charge.at_least(self.adopted)

    @property
    def own(self) -> Charge:
        """What this attempt has spent, or may have."""
        return Charge(self.cost_microusd, self.usage.total_tokens) + self.lost

    def cover(self, worst: Charge) -> None:
        """Make sure that the tenant's day has room for the next call, and that whoever follows knows of it.

        Raises:
            LimitReached: the tenant's day has no room.
            AttemptSuperseded: another attempt is at work, or the step is committed.
        """
        self.allowance.cover(self.totals.cost_microusd, worst.microusd)
        self.reservation.cover(self.own, worst)

    def lose(self, worst: Charge) -> None:
        """Count one call whose answer is not known."""
        self.reservation.has_called = True
        self.lost += worst

    def add(self, spec: ModelSpec, usage: Usage) -> None:
        """Count one answered call."""
        self.prefix.count(spec.name, usage)
        self._count(spec, usage)
        self.model, self.is_cached = spec.name, False

    def reuse(self, spec: ModelSpec) -> None:
        """Count an answer that came from the cache: nobody has read the prompt."""
        self.model, self.is_cached = spec.name, True

    def note(self, run: Runs) -> None:
        """Count requests to the response cache."""
        self.cached += run

    def charge(self, spec: ModelSpec, usage: Usage, *, reason: str) -> None:
        """Count a call whose answer is not the step's; the next answer says its own model and reason."""
        self._count(spec, usage)
        self.model, self.reason = spec.name, reason

    def _count(self, spec: ModelSpec, usage: Usage) -> None:
        self.reservation.has_called = True
        cost = spec.cost_microusd(usage)
        self.usage += usage
        self.cost_microusd += cost
        so_far = self.by_model.get(spec.name, ModelUse(spec.name, Usage(), 0))
        self.by_model[spec.name] = ModelUse(
            spec.name, so_far.usage + usage, so_far.cost_microusd + cost
        )

    def carry_on(self, plan: StepPlan) -> None:
        """Count what an earlier attempt has paid for the answer that is used again, and what was reserved since."""
        self.usage += plan.usage
        self.cost_microusd += plan.cost_microusd
        since = unaccounted(self.reservation.charge, plan)
        self.reservation.others, self.adopted = NO_CHARGE, plan.reserved
        self.lost, self.carried = plan.lost + since, NO_CHARGE
        self.model, self.reason = plan.model, plan.reason
        self.by_model = {use.model: use for use in plan.others}

    def plan(self, owner: str, message: Message) -> StepPlan:
        """What is about to be done with this answer, and what it has cost."""
        return StepPlan(
            owner,
            message,
            self.model,
            self.reason,
            self.usage,
            cost_microusd=self.cost_microusd,
            others=self.others,
            lost=self.all_lost,
            reserved=self.accounted,
        )

    @property
    def others(self) -> tuple[ModelUse, ...]:
        """What models took whose answers the step did not."""
        return tuple(use for name, use in self.by_model.items() if name != self.model)

    def on(self, result: StepResult) -> StepResult:
        """The result with what it cost."""
        first = self.prefix.first_prompt_tokens
        return replace(
            result,
            model=self.model,
            reason=f"{self.reason}; cached answer" if self.is_cached else self.reason,
            usage=self.usage,
            cost_microusd=self.cost_microusd,
            is_cached=self.is_cached,
            expected_cached_tokens=self.prefix.expected_tokens,
            prompt_tokens=0 if first == self.usage.input_tokens else first,
            others=self.others,
            lost=self.all_lost,
            reserved=self.accounted,
        )


@dataclass(slots=True)
class Sending:
    """One call on its way, perhaps to several deployments: each of them may charge for it."""

    spending: Spending
    task: Task
    spec: ModelSpec
    input_tokens: int
    worst: Charge = NO_CHARGE

    def cover(self) -> int:
        """Cover the next sending; how many output tokens it may produce.

        Raises:
            LimitReached: it is not affordable.
        """
        output, self.worst = worst_case(
            self.spec, self.task, self.spending.totals, input_tokens=self.input_tokens
        )
        self.spending.cover(self.worst)
        return output

    def lose(self) -> None:
        """Its answer is not known."""
        self.spending.lose(self.worst)

    def again(self) -> int:
        """The sending before may have been charged without an answer: count it, and cover the next one."""
        self.lose()
        return self.cover()
