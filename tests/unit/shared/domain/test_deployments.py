"""Which deployment a task prefers."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain.deployments import Deployment, preference

names = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)
weighted = names.flatmap(
    lambda found: st.tuples(
        *(st.builds(Deployment, st.just(n), st.just("m"), st.integers(0, 9)) for n in found)
    )
)
sticky = st.text(max_size=30)


@given(sticky, weighted)
def test_the_same_key_always_finds_the_same_order(
    key: str, deployments: tuple[Deployment, ...]
) -> None:
    order = preference(key, deployments)
    assert preference(key, [d for d in reversed(deployments) if d.weight]) == [
        d for d in order if d.weight
    ]
    assert sorted(d.name for d in order) == sorted(d.name for d in deployments)


@given(sticky, weighted)
def test_standbys_come_last_in_the_order_given(
    key: str, deployments: tuple[Deployment, ...]
) -> None:
    order = preference(key, deployments)
    standbys = [d for d in deployments if not d.weight]
    assert order[len(order) - len(standbys) :] == standbys


@given(sticky, weighted, st.data())
def test_when_one_deployment_goes_only_its_own_keys_move(
    key: str, deployments: tuple[Deployment, ...], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(deployments))
    left = [d for d in preference(key, deployments) if d != gone]
    assert preference(key, [d for d in deployments if d != gone]) == left


def test_each_deployment_is_first_for_its_share_of_the_weight() -> None:
    deployments = [Deployment(name, "m", weight) for name, weight in (("a", 1), ("b", 3), ("c", 6))]
    first = Counter(preference(f"task-{n}", deployments)[0].name for n in range(20_000))
    assert {name: round(count / 2_000) for name, count in first.items()} == {"a": 1, "b": 3, "c": 6}


def test_what_a_failing_deployment_leaves_is_spread_by_weight() -> None:
    deployments = [Deployment(name, "m", weight) for name, weight in (("a", 5), ("b", 1), ("c", 4))]
    orders = [preference(f"task-{n}", deployments) for n in range(20_000)]
    second = Counter(order[1].name for order in orders if order[0].name == "a")
    assert round(second["c"] / second["b"]) == 4
