"""A job, its nodes and their market, for the deadline policy to be held against: as bad as its assumptions allow.

Nodes are lost without a notice, what is not saved is lost at every change of nodes, nodes that are let go are paid for
as long as they may be, and restarts take as long as they are told to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from spotkeeper_responder import Answer, Deadline, Market, Situation, Work

HOUR = 3600.0


@dataclass
class World:
    """One job under one policy. Seconds, dollars, work in seconds of the whole gang."""

    policy: Deadline
    work: float
    deadline: float
    gang: int = 1
    least: int = 1
    """With fewer nodes the job stands."""
    on_demand_price: float = 3.0
    spot_price: float = 1.0
    refuses_on_demand: bool = False
    now: float = 0.0
    spent: float = 0.0
    done: float = 0.0
    saved: float = 0.0
    spot: int = 0
    on_demand: int = 0
    room: int = 0
    asked: int = 0
    stands: float = 0.0
    final: bool = False
    since: float | None = None
    spells: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    told: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """When the job told, what it had done and what it had saved."""

    @property
    def finished(self) -> bool:
        return self.done >= self.work - 1e-6

    @property
    def budget(self) -> float:
        rate = self.on_demand_price * self.gang / HOUR
        usual = rate * max(self.policy.restart, 0.025 * self.work)
        excess = usual if self.policy.excess is None else self.policy.excess
        return rate * (self.work + self.policy.restart) + excess

    @property
    def speeds(self) -> tuple[float, ...]:
        """An elastic job tells how fast it is on fewer nodes."""
        if self.least == self.gang:
            return ()
        return tuple(nodes / self.gang if nodes >= self.least else 0.0 for nodes in range(self.gang + 1))

    def situation(self) -> Situation:
        at, done, saved = self.told
        missing = 0 if self.final else self.gang - self.spot
        return Situation(
            missing=missing,
            lasted=0.0 if self.since is None else self.now - self.since,
            held=self.on_demand,
            serving=self.spot,
            wanted=self.gang,
            final=self.final,
            work=Work(
                time_left=self.deadline - self.now,
                remaining=self.work - saved,
                whole=self.work,
                allowed=self.deadline,
                unsaved=done - saved,
                report_age=self.now - at,
                speeds=self.speeds,
            ),
            market=Market(
                spot_price=self.spot_price,
                on_demand_price=self.on_demand_price,
                spent=self.spent,
                ages=tuple(self.ages),
                spells=tuple(self.spells),
                gaps=tuple(self.gaps),
            ),
        )

    def look(self, restart: float, *, tells: bool = True) -> Answer:
        """The job tells how far it is, or does not; the policy answers, and that is done."""
        if tells:
            self.told = (self.now, self.done, self.saved)
        answer = self.policy.answer(self.situation())
        self.answers.append(answer)
        self.final |= answer.final
        before = (self.spot, self.on_demand)
        self.asked = self.gang if answer.spot is None else answer.spot
        self.let_go(max(0, self.spot - self.asked), max(0, self.on_demand - answer.on_demand))
        if not self.refuses_on_demand:
            self.on_demand = answer.on_demand
        self.launch(restart)
        if (self.spot, self.on_demand) != before:
            self.changed(restart)
        elif answer.checkpoint and self.stands <= 0:
            self.saved = self.done
        return answer

    def let_go(self, spot: int, on_demand: int) -> None:
        """Nodes go, and are paid for as long as they may be."""
        release = self.policy.restart if self.policy.release is None else self.policy.release
        self.spent += (spot * self.spot_price + on_demand * self.on_demand_price) * release / HOUR
        self.spot -= spot
        self.on_demand -= on_demand
        del self.ages[self.spot :]

    def launch(self, restart: float) -> None:
        """The spot group launches what it is short of, where there is room."""
        more = max(0, min(self.asked, self.room) - self.spot)
        self.spot += more
        self.ages += [0.0] * more
        self.clock()
        if more:
            self.changed(restart)

    def market(self, room: int, restart: float) -> None:
        """The cloud has room for so many spot nodes from now on."""
        self.room = room
        if self.spot > room:
            self.spells += self.ages[room:]
            self.spot = room
            del self.ages[room:]
            self.clock()
            self.changed(restart)

    def clock(self) -> None:
        if self.spot < self.gang and not self.final and self.asked:
            self.since = self.now if self.since is None else self.since
        else:
            if self.since is not None and self.spot >= self.gang:
                self.gaps.append(self.now - self.since)
            self.since = None

    def changed(self, restart: float) -> None:
        """Other nodes: the job starts again from what is saved."""
        self.done = self.saved
        self.stands = restart

    def save(self) -> None:
        """A periodic checkpoint is published."""
        if self.stands <= 0:
            self.saved = self.done

    def pass_time(self, seconds: float) -> None:
        """Time passes; the job works, unless it stands, and ends when it is done, to the second."""
        nodes = min(self.gang, self.spot + self.on_demand)
        speed = nodes / self.gang if nodes >= self.least else 0.0
        stands = min(self.stands, seconds) if speed else 0.0
        runs = seconds - stands if speed else 0.0
        if speed and self.done + runs * speed >= self.work:
            runs = (self.work - self.done) / speed
            seconds = stands + runs
        self.done += runs * speed
        self.stands -= stands
        self.now += seconds
        self.ages = [age + seconds for age in self.ages]
        self.spent += (self.spot * self.spot_price + self.on_demand * self.on_demand_price) * seconds / HOUR
