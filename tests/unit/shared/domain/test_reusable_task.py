"""What two tasks must have in common before their goals are compared."""

from dataclasses import replace

from ratchet import Agent
from ratchet.contracts.names import Complexity, ComplexitySource, TaskStatus
from ratchet.domain.complexity import Rating
from ratchet.domain.reusable_task import may_be_answered, scope
from ratchet.domain.task import History, SessionPlace, TaskState
from tests.unit.shared.builders import a_task

AGENT = Agent("helper", "Help.")
SMALL = "text-embedding-3-small"


def test_whatever_shapes_an_answer_beside_the_words_of_the_goal_makes_another_scope() -> None:
    task = replace(a_task(), goal="Find order 7.")
    rated = Rating(Complexity.COMPLEX, ComplexitySource.CALLER)
    scopes = [
        scope(task, AGENT, embedding_model=SMALL),
        scope(task, replace(AGENT, name="other"), embedding_model=SMALL),
        scope(task, Agent("helper", "Help well."), embedding_model=SMALL),
        scope(task, AGENT, embedding_model="text-embedding-3-large"),
        scope(replace(task, user_id="ann"), AGENT, embedding_model=SMALL),
        scope(replace(task, goal="Find order 8."), AGENT, embedding_model=SMALL),
        scope(replace(task, rating=rated), AGENT, embedding_model=SMALL),
    ]
    assert len(set(scopes)) == len(scopes)


def test_the_words_of_the_goal_do_not() -> None:
    one, other = (replace(a_task(), goal=goal) for goal in ("Find order 7.", "Where is order 7?"))
    assert scope(one, AGENT, embedding_model=SMALL) == scope(other, AGENT, embedding_model=SMALL)


def test_a_task_that_is_told_more_than_its_goal_is_not_answered_by_another() -> None:
    alone = a_task()
    told = replace(alone, session=SessionPlace("talk", 1), earlier=())
    state = TaskState(TaskStatus.RUNNING, 0)
    assert may_be_answered(History(alone, state))
    assert not may_be_answered(History(told, state))
