"""Planted bugs of sessions: locks that are not taken, not given back, or given to the wrong one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ratchet.app import dispatch_task, execute_step
from ratchet.app.session_lock import SessionLock, SessionReturn
from ratchet.app.submit_task import SubmitTask
from ratchet.domain.session import Session
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.store_rows import Head
from tests.simulation.bugs import Bug, Patch, swap, wrap


def both(first: Patch, second: Patch) -> Patch:
    """Two patches as one."""

    @contextmanager
    def planted() -> Iterator[None]:
        with first(), second():
            yield

    return planted


STORE = InMemoryCheckpoints


def _takes_the_last(original: Any, session: Any, *, now_ms: int) -> Any:
    return original(replace(session, line=session.line[::-1]), now_ms=now_ms)


def _last(session: Any) -> str | None:
    return session.line[-1].task_id if session.line else None


def _keeps_all(original: Any, session: Any, task_id: str, turn: Any, *, now_ms: int) -> Any:
    return original(replace(session, ending=None), task_id, turn, now_ms=now_ms)


def _tells_always(original: Any, lock: Any, session: Any, tip: Any) -> Any:
    return original(lock, replace(session, ending=None), tip)


def _does_not_wait(original: Any, lock: Any, tip: Any) -> Any:
    return original(lock, tip) or tip


def _spares(original: Any, session: Any, task_id: str, policy: Any, *, now_ms: int) -> Any:
    return replace(original(session, task_id, policy, now_ms=now_ms), ending=None)


def _forgets_standing(original: Any, store: Any, tip: Any, reopening: Any) -> bool:
    is_reopened = bool(original(store, tip, reopening))
    head = store._partitions[f"TENANT#{tip.task.ref.tenant}#TASK#{tip.task.ref.task_id}"].head
    if is_reopened:
        head.state = replace(head.state, standing=None)
    return is_reopened


NETS = {
    "who runs holds the lock": both(
        swap(execute_step, "is_let_in", lambda *_: True), swap(Head, "may_start", lambda _: True)
    )
}
_TALK = ("talk",)
BUGS = (
    Bug("lock never given back", (swap(SessionReturn, "__call__", lambda *_: None),), (), _TALK),
    Bug(
        "lock not waited for",
        (wrap(SessionLock, "admit", _does_not_wait),),
        ("who runs holds the lock",),
        _TALK,
    ),
    Bug("lock not taken", (swap(dispatch_task, "is_of_session", lambda _: False),), (), _TALK),
    Bug(
        "order of a session ignored",
        (wrap(Session, "taken", _takes_the_last), swap(Session, "first", property(_last))),
        (),
        _TALK,
    ),
    Bug(
        "rollback keeps history",
        (wrap(Session, "left", _keeps_all), wrap(SessionLock, "_turn", _tells_always)),
        (),
        ("talk-rolled-back",),
    ),
    Bug(
        "session whose holder must end is not looked at",
        (swap(SubmitTask, "_end_holder", lambda *_: None), wrap(Session, "joined", _spares)),
        (),
        ("talk-rolled-back",),
    ),
    Bug(
        "standing forgotten by a resume",
        (wrap(STORE, "reopen", _forgets_standing),),
        (),
        ("talk-resumed", "talk-asked"),
    ),
)
