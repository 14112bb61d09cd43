"""What `ratchet tenants` says before and after it erases."""

from ratchet.cli.tenants_command import _counted, cost_of_passes


def test_two_looks_at_ten_gibibytes_cost_less_than_a_dollar() -> None:
    told = cost_of_passes(10 * 2**30)
    assert told.startswith("5,242,880 read units, about $0.66, ")
    assert cost_of_passes(0).startswith("0 read units, about $0.00, ")


def test_what_was_deleted_is_told_by_kind() -> None:
    assert _counted({"tasks": 1_200, "bodies": 3}) == "3 bodies, 1,200 tasks"
    assert _counted({}) == "nothing"
