from itertools import pairwise

from ratchet.contracts.names import Complexity
from tests.bench.routing_replay import MODES, replay
from tests.bench.task_mix import TASKS, task_mix


def test_the_mix_is_the_same_on_every_machine() -> None:
    mix = task_mix()
    assert mix == task_mix()
    assert len(mix) == TASKS == 200
    assert task_mix(2, seed=1) != task_mix(2, seed=2)
    assert {task.complexity for task in mix} == set(Complexity)
    lengths = {len(task.rounds) for task in mix}
    assert (min(lengths), max(lengths) > 20) == (1, True)
    assert any(round_.lost_on for task in mix for round_ in task.rounds)


def test_the_same_tasks_cost_less_on_cheaper_models_and_fail_no_more_when_routed() -> None:
    mix = task_mix(12)
    table, large, small = (replay(mix, model) for model in MODES.values())
    assert small.usd < table.usd < large.usd
    assert table.statuses["succeeded"] >= small.statuses["succeeded"] > 0
    assert {name for name in table.by_model} > {"gpt-4o-mini", "gpt-4o", "o3-mini"}
    assert set(large.by_model) == {"gpt-4o"}
    for one in (table, large, small):
        assert one.cost_microusd == one.by_model.total()
        assert 0 < one.cached_share < 1
    repeated = [replay(mix, None).cost_microusd for _ in range(2)]
    assert all(a == b == table.cost_microusd for a, b in pairwise(repeated))
