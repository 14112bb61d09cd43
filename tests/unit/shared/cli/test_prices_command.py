from pathlib import Path

import pytest

from ratchet.contracts import price_list
from ratchet.contracts.model_file import known_models
from ratchet.contracts.priced_models import Price
from tests.unit.shared.cli.conftest import Command


def test_the_printed_entry_is_a_valid_models_file(ratchet: Command) -> None:
    done = ratchet("prices", "claude-sonnet-4-5", "gpt-5.6-sol", "deepseek-chat")
    assert done.code == 0
    Path("models.yaml").write_text(done.out)
    known = known_models(Path("models.yaml"))
    assert known["claude-sonnet-4-5"].price == Price(3000, 300, 3750, 15_000)
    assert known["claude-sonnet-4-5"].source.endswith("(anthropic)")
    assert known["gpt-5.6-sol"].price == Price(4000, 400, 5000, 20_000)
    assert known["gpt-5.6-sol"].long_prompt is not None
    assert known["deepseek-chat"].price.output > 0


def test_programs_get_the_entry_as_json(ratchet: Command) -> None:
    entry = ratchet("prices", "gpt-4o", "--json").json["models"]["gpt-4o"]
    assert entry["price"] == {
        "input": 2.5,
        "cached_input": 1.25,
        "cache_write": 2.5,
        "output": 10.0,
    }


def test_without_a_name_it_says_what_to_do(ratchet: Command) -> None:
    done = ratchet("prices")
    assert (done.code, "ratchet prices claude" in done.err) == (1, True)


def test_an_unknown_model_is_an_error(ratchet: Command) -> None:
    done = ratchet("prices", "dream-7")
    assert done.code == 1
    assert "knows no model 'dream-7'" in done.err


def test_a_model_whose_calls_cost_beside_their_tokens_gets_no_entry_that_leaves_that_out(
    ratchet: Command,
) -> None:
    done = ratchet("prices", "sonar", "--provider", "perplexity")
    assert (done.code, done.out) == (1, "")
    assert "charges $12 for 1,000 calls of 'sonar' beside its tokens" in done.err


def test_our_price_list_is_written_anew_with_todays_date(
    ratchet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(price_list.__file__).read_text(encoding="utf-8")
    copy = tmp_path / "price_list.py"
    copy.write_text(source.replace(price_list.AS_OF, "2020-01-01").replace(" 2.5 ", " 9.9 "))
    monkeypatch.setattr(price_list, "__file__", str(copy))
    done = ratchet("prices", "--update", "--json")
    assert done.json["written"] == str(copy)
    written = copy.read_text(encoding="utf-8")
    assert "2020-01-01" not in written
    assert [line for line in written.splitlines() if not line.startswith("AS_OF")] == [
        line for line in source.splitlines() if not line.startswith("AS_OF")
    ]
