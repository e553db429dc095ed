"""A queue that is as bad as one may be, two hosts, callers, and the one who moves emulated time.

Messages come twice, late, and in any order, all drawn from a seed; an invocation that failed is delivered again, and
after five failures its message goes to the poison queue. The hosts are processes of their own, and some are killed.
Time moves when nobody works: to the next tick or message, or to what an invocation waits for, and after every step all
callers call. Never here: a judgement about keyturn.
"""

from __future__ import annotations

import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

from keyturn.demo.control import Callers
from keyturn.demo.stage import Stage

TICK, IDLE_TICK = timedelta(minutes=5), timedelta(minutes=30)
INVISIBLE = timedelta(minutes=1)
"""Until a message whose invocation failed is delivered again, as host.json says."""
LOST = timedelta(minutes=10)
"""Until one whose host died is."""
MOST_DELIVERIES = 5
AT_ONCE = 4
"""Invocations that one host runs side by side."""
PAUSE = 0.004
PATIENCE = 60.0


class Invocation(NamedTuple):
    host: Host
    given: dict[str, Any]
    message: Message | None


@dataclass(order=True)
class Message:
    visible_at: datetime
    tie: float
    text: str = field(compare=False)
    number: int = field(compare=False)
    """In the order in which they were sent; the copy of one has its number."""
    poisoned: bool = field(compare=False, default=False)
    deliveries: int = field(compare=False, default=0)


class Host:
    """One process with the deployed app."""

    def __init__(
        self, name: str, env: Mapping[str, str], answers: queue.SimpleQueue[dict[str, Any]], log: Path
    ) -> None:
        self.name = name
        self.busy = 0
        self._log: IO[bytes] = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.functions.host"],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._reader = threading.Thread(target=self._listen, args=(answers,), daemon=True)
        self._reader.start()

    def _listen(self, answers: queue.SimpleQueue[dict[str, Any]]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answers.put(json.loads(line))

    def invoke(self, given: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.busy += 1
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            if pipe is not None:
                pipe.close()


@dataclass
class Told:
    """What the queue did to the messages, and what came of the invocations."""

    sent: int = 0
    copies: int = 0
    late: int = 0
    overtaken: int = 0
    poisoned: int = 0
    killed: int = 0
    """Invocations that died with their host."""
    turns: Counter[str] = field(default_factory=Counter)
    """By host."""
    failures: list[str] = field(default_factory=list)


class Cloud:
    """`now` is emulated time; `seed` draws every fate."""

    def __init__(self, stage: Stage, callers: Callers, env: Mapping[str, str], logs: Path, seed: int) -> None:
        self.told = Told()
        self._stage, self._control, self._callers = stage, stage.control, callers
        self._draw = random.Random(seed)
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._env, self._logs = env, logs
        self.hosts = [self._start(name) for name in ("east", "west")]
        self.kills = 0
        """How many hosts are still to be killed, each in the middle of some turns."""
        self._messages: list[Message] = []
        self._running: dict[int, Invocation] = {}
        self._begun = 0
        self._newest_delivered = 0
        self._step = stage.settings.step
        self.now = self._control.now()
        self._next_tick = self.now
        self._sequence = 0

    def close(self) -> None:
        for host in self.hosts:
            host.close()

    def _start(self, name: str) -> Host:
        return Host(name, self._env, self._answers, self._logs / f"{name}.log")

    # -------- time

    def run(self, until: datetime, *, tick: timedelta = TICK) -> None:
        """Let time pass, with the timer's ticks and all that follows from them."""
        while self.now < until or self._running:
            self._tick(tick, until)
            self._deliver(until)
            if self._running:
                self._wait_for_answers()
            else:
                self._move(until, tick)

    def drain(self) -> None:
        """No tick any more; every message that is left is delivered, however late."""
        while self._messages or self._running:
            self._deliver(None)
            if self._running:
                self._wait_for_answers()
            else:
                self._advance(min(message.visible_at for message in self._messages) - self.now)

    def _move(self, until: datetime, tick: timedelta) -> None:
        """To whatever comes next; no further than the callers' patience with their cache."""
        instants = [self._next_tick, until, *(message.visible_at for message in self._messages)]
        most = self._step if tick == TICK else tick
        self._advance(min(min(instants) - self.now, most))

    def _advance(self, span: timedelta) -> None:
        if span > timedelta(0):
            self._control.advance(span)
            self._callers.round()
        self.now = self._control.now()

    # -------- the timer and the queue

    def _tick(self, tick: timedelta, until: datetime) -> None:
        """One host ticks; now and then both do, as when the timer's own lease is lost."""
        if self.now < self._next_tick or self.now >= until:
            return
        self._next_tick = self.now + tick
        for host in self._draw.sample(self.hosts, 2 if self._draw.random() < 0.1 else 1):
            self._begin(host, {"function": "sweep"}, None)

    def _send(self, text: str) -> None:
        """Into the queue: perhaps twice, perhaps late, and seldom very late."""
        self.told.sent += 1
        copies = 2 if self._draw.random() < 0.25 else 1
        self.told.copies += copies - 1
        for _ in range(copies):
            fate = self._draw.random()
            delay = timedelta(0)
            if fate < 0.02:
                delay = timedelta(hours=self._draw.uniform(1, 3))
            elif fate < 0.25:
                delay = timedelta(minutes=self._draw.uniform(0.5, 20))
            self.told.late += delay > TICK
            self._messages.append(Message(self.now + delay, self._draw.random(), text, self.told.sent))

    def _deliver(self, until: datetime | None) -> None:
        """Whatever is visible, in any order, to hosts that have room."""
        if until is not None and self.now >= until:
            return
        visible = sorted((it for it in self._messages if it.visible_at <= self.now), key=lambda it: it.tie)
        for message in visible:
            free = [host for host in self.hosts if host.busy < AT_ONCE]
            if not free:
                return
            self._messages.remove(message)
            self.told.overtaken += message.number < self._newest_delivered
            self._newest_delivered = max(self._newest_delivered, message.number)
            message.deliveries += 1
            name = "poisoned" if message.poisoned else "turn"
            given = {"function": name, "text": message.text, "dequeue_count": message.deliveries}
            self._begin(self._draw.choice(free), given, message)

    def _begin(self, host: Host, given: dict[str, Any], message: Message | None) -> None:
        self._begun += 1
        given["id"] = self._begun
        self._running[self._begun] = Invocation(host, given, message)
        host.invoke(given)

    def _kill(self) -> None:
        """A host dies with all that it is doing, and another takes its place."""
        busy = [host for host in self.hosts if host.busy == AT_ONCE]
        if not self.kills or not busy or self._draw.random() > 0.05:
            return
        self.kills -= 1
        dead = self._draw.choice(busy)
        dead.close()
        for number, invocation in list(self._running.items()):
            if invocation.host is dead:
                del self._running[number]
                self.told.killed += 1
                if invocation.message is not None:
                    invocation.message.visible_at = self.now + LOST
                    self._messages.append(invocation.message)
        self.hosts[self.hosts.index(dead)] = self._start(dead.name)

    def _wait_for_answers(self) -> None:
        """Until one invocation has ended, or everybody waits for time: then time moves."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self._learn(self._answers.get(timeout=PAUSE))
                self._kill()
            except queue.Empty:
                assert all(host.process.poll() is None for host in self.hosts), "a host died"
                if self._moved_for_a_waiter():
                    return
                continue
            return
        raise AssertionError(f"hosts neither work nor wait: {list(self._running.values())}")

    def _moved_for_a_waiter(self) -> bool:
        before, self._sequence = self._sequence, self._control.sequence(self._sequence)
        now, waiters = self._control.clock()
        if before != self._sequence or not waiters:
            return False
        self._advance(max(min(waiter.until for waiter in waiters) - now, timedelta(seconds=1)))
        return True

    def _learn(self, told: Mapping[str, Any]) -> None:
        if told["id"] not in self._running:
            return  # the last word of a host that died since
        host, given, message = self._running.pop(told["id"])
        host.busy -= 1
        if given["function"] == "turn":
            self.told.turns[host.name] += 1
        for text in told["messages"]:
            self._send(text)
        if not told["failed"]:
            return
        self.told.failures.append(f"{given['function']}: {told['failed']}")
        if message is None:
            return
        if message.deliveries >= MOST_DELIVERIES and not message.poisoned:
            self.told.poisoned += 1
            message.poisoned, message.deliveries = True, 0
        message.visible_at = self.now + INVISIBLE
        self._messages.append(message)


@contextmanager
def clouded(stage: Stage, env: Mapping[str, str], logs: Path, seed: int) -> Iterator[tuple[Cloud, Callers]]:
    callers = stage.callers()
    try:
        callers.round()
        cloud = Cloud(stage, callers, env, logs, seed)
        try:
            yield cloud, callers
        finally:
            cloud.close()
    finally:
        callers.close()
