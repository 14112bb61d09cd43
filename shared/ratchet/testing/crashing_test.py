"""One test of a team, repeated with a crash at every boundary of its runs; the pytest plugin's director."""

from collections.abc import Iterator
from contextlib import contextmanager

from ratchet.testing.crash_kit import (
    CrashFailure,
    check_is_repeatable,
    failed_at,
    kills_of,
    play_like,
)
from ratchet.testing.deployment import quiet_log
from ratchet.testing.differences import is_left_to_a_person
from ratchet.testing.harness import Kill, Observation, Scene, TaskOutcome


class LeftToAPerson(BaseException):
    """The task asked a person, as it must: the rest of the test was written for another end."""


class CrashingTest:
    """Plays the runs of a test: undisturbed first, undisturbed again, then each with each of its kills."""

    def __init__(self) -> None:
        self._calm: list[Observation] = []
        self._plans: Iterator[tuple[int, Kill]] | None = None
        self._plan: tuple[int, Kill] | None = None
        self._repetitions = 0
        self._run = 0
        self.crashes = 0

    @property
    def boundaries(self) -> int:
        """Places at which the test's runs can die."""
        return sum(len(run.boundaries) for run in self._calm)

    def next_repetition(self) -> bool:
        """Plan the next repetition; False when all were made. The first and the second have no crash."""
        self._repetitions += 1
        if self._repetitions == 1:
            return bool(self._calm)
        if self._plans is None:
            self._plans = iter([(n, k) for n, run in enumerate(self._calm) for k in kills_of(run)])
        self._plan = next(self._plans, None)
        return self._plan is not None

    @contextmanager
    def repetition(self) -> Iterator[None]:
        """One call of the test function."""
        self._run = 0
        try:
            yield
        except LeftToAPerson:
            return
        if self._run != len(self._calm):
            raise CrashFailure(
                f"the test made {self._run} runs instead of {len(self._calm)}; {self._where()}"
            )

    def direct(self, scene: Scene) -> TaskOutcome:
        """Play the test's next run.

        Raises:
            CrashFailure: it differs from the undisturbed one.
            LeftToAPerson: it asked a person, rightly.
        """
        number, self._run = self._run, self._run + 1
        if self._repetitions == 0:
            self._calm.append(scene.play())
            return self._calm[-1].outcome
        if number >= len(self._calm):
            raise CrashFailure(f"the test makes more runs than undisturbed; {self._where()}")
        with quiet_log():
            return self._compared(scene, number)

    def summary(self) -> str:
        """What was done, for the test's report."""
        done = f"killed at {self.boundaries} boundaries in {self.crashes} crashes"
        return f"{done}\nlast repetition: {self._where()}"

    def _compared(self, scene: Scene, number: int) -> TaskOutcome:
        calm = self._calm[number]
        if self._plan is None or self._plan[0] != number:
            return check_is_repeatable(scene.agent, calm, scene).outcome
        kill = self._plan[1]
        self.crashes += 1
        run, found = play_like(scene, calm, kill)
        if found or run is None:
            raise CrashFailure(failed_at(kill, found))
        if is_left_to_a_person(run):
            raise LeftToAPerson(str(kill))
        return run.outcome

    def _where(self) -> str:
        return "no crash" if self._plan is None else str(self._plan[1])
