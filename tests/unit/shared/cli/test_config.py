import os
import stat
from pathlib import Path

import pytest

from ratchet.cli.config import DEV_FILE, DevFile, api_config, model_config
from ratchet.cli.errors import CliError
from tests.unit.shared.cli.conftest import Command

RUNNING = DevFile("http://127.0.0.1:8484", "dev-key", os.getpid())
ENVIRON = {"RATCHET_API_URL": "https://api.example.com/", "RATCHET_API_KEY": "env-key"}


def test_environment_wins_over_a_running_dev_stack(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)

    config = api_config(ENVIRON, tmp_path)

    assert (config.url, config.key) == ("https://api.example.com", "env-key")
    assert not config.is_loopback


def test_running_dev_stack_is_found_from_a_folder_below(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)
    below = tmp_path / "shared" / "agents"
    below.mkdir(parents=True)

    config = api_config({}, below)

    assert (config.url, config.key) == ("http://127.0.0.1:8484", "dev-key")
    assert config.is_loopback


def test_a_key_of_the_dev_stack_is_never_sent_elsewhere(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)

    assert api_config({"RATCHET_API_URL": "https://api.example.com"}, tmp_path).key is None


def test_key_of_the_environment_goes_with_the_dev_stack(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)

    assert api_config({"RATCHET_API_KEY": "mine"}, tmp_path).key == "mine"


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"api_url": 1}'])
def test_damaged_dev_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / DEV_FILE).parent.mkdir()
    (tmp_path / DEV_FILE).write_text(text)

    assert DevFile.find(tmp_path) is None


def test_dev_file_of_a_process_that_is_gone_is_ignored(tmp_path: Path) -> None:
    DevFile("http://127.0.0.1:1", "k", pid=2**22 + 1).write(tmp_path)

    with pytest.raises(CliError, match="no API to talk to"):
        api_config({}, tmp_path)


def test_dev_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = RUNNING.write(tmp_path)
    RUNNING.write(tmp_path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_any_api_the_command_says_what_to_do(ratchet: Command) -> None:
    done = ratchet("list")

    assert done.code == 1
    assert done.out == ""
    assert "ratchet dev" in done.err
    assert "RATCHET_API_URL" in done.err


def test_model_of_the_environment() -> None:
    assert model_config({}).key is None
    assert model_config({"OPENAI_API_KEY": ""}).key is None
    assert model_config({"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "u"}).base_url == "u"


def test_a_stack_that_ends_leaves_the_file_of_the_next_one(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)
    newer = DevFile("http://127.0.0.1:9999", "k", os.getpid())
    newer.write(tmp_path)

    RUNNING.remove(tmp_path)
    assert DevFile.find(tmp_path) == newer
    newer.remove(tmp_path)
    assert not (tmp_path / DEV_FILE).exists()
