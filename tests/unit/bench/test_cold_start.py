"""Reading what `-X importtime` prints."""

from tests.bench.cold_start import by_package, import_times

REPORT = """\
import time: self [us] | cumulative | imported package
import time:       120 |        120 |   _codecs
import time:       300 |       1420 |     botocore.session
import time:      1000 |       1000 | botocore
import time:        80 |         80 | json.decoder
a warning | with bars | in it
"""


def test_every_module_has_its_own_time() -> None:
    assert list(import_times(REPORT)) == [
        ("_codecs", 120),
        ("botocore.session", 300),
        ("botocore", 1000),
        ("json.decoder", 80),
    ]


def test_modules_are_summed_by_package_and_the_standard_library_is_one() -> None:
    found = by_package(import_times(REPORT))
    assert found == {"botocore": 1300, "standard library": 200}
