"""Proposals for a fixed-point map that climbs an objective.

An accelerator is a guest in the loop of `solve`: it may propose a point in place of the
next plain iterate, is told whether the point was accepted, and estimates how much of
the objective is left to be gained. It sees points only through their `objective`,
`successor`, and through charts: unconstrained coordinates in which the plain step is
about a unit gradient step.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from scipy.linalg.lapack import dtrtrs as solve_upper

FLOOR = 1e-12
"""Increments below this share of |f| are rounding."""
SINGLE = 1e-5
"""The same, where values are those of float32."""
FAR = 0.5
"""Gain of a step, for each coordinate, that tells that a maximum is far."""


class Chart(Protocol):
    """Coordinates of points."""

    def pack(self, parameters: Any) -> np.ndarray:
        """Point -> vector."""

    def unpack(self, vector: np.ndarray) -> Any:
        """Vector -> point."""

    def farthest(self, step: np.ndarray) -> float:
        """Size of a step, about one where the chart may bend."""


class Evaluation(Protocol):
    """A point θ with what one evaluation of the map tells of it."""

    @property
    def parameters(self) -> Any:
        """θ."""

    @property
    def objective(self) -> float:
        """f(θ)."""

    @property
    def loglik(self) -> float:
        """What the loop reports of θ."""

    @property
    def successor(self) -> Any:
        """θ⁺."""


@dataclass(frozen=True)
class Progress:
    """What the stopping rule of plain steps remembers: the last value and increments.

    With increments shrinking by a = Δ_t/Δ_{t−1} a step, Δ_t a/(1−a) is left.
    """

    value: float
    increments: tuple[float, ...] = ()

    def advance(self, value: float) -> Progress:
        """Take the next value."""
        return Progress(value, (*self.increments, value - self.value)[-3:])

    @property
    def remaining(self) -> float:
        """Estimate of what is left to be gained; infinite while it is not trusted.

        The shrinkage must have been below one twice running, and the slower of the
        two counts.
        """
        if len(self.increments) < 3:
            return float("inf")
        first, second, third = (abs(increment) for increment in self.increments)
        # The map never falls but by rounding, so a fall tells how large that is.
        noise = max(FLOOR * abs(self.value), -min(self.increments))
        if max(second, third) <= noise:
            return 0.0
        if not third < second < first:
            return float("inf")
        shrinkage = max(third / second, second / first)
        return third * shrinkage / (1 - shrinkage)


class Accelerator(Protocol):
    """A guest in the loop."""

    step: str
    """Name of the kind of step that was proposed last."""

    def begin(self, start: Evaluation) -> None:
        """Take the point to start from."""

    def follow(self, earlier: Accelerator) -> None:
        """Take over, before `begin`, what was learned on a part of the data."""

    def propose(self, current: Evaluation) -> Any | None:
        """Return a point to try, or None for the plain step."""

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Take the outcome of the step from `current` to `trial`."""

    @property
    def progress(self) -> Progress | None:
        """What a later loop can continue from, if it starts at the last point."""

    @property
    def remaining(self) -> float:
        """Estimate of what is left to be gained; infinite while not trusted."""


class Plain:
    """The map itself: no proposals."""

    step = "em"

    def __init__(
        self, chart_at: Callable[[Any], Chart], progress: Progress | None = None
    ) -> None:
        self.progress: Progress | None = progress

    def begin(self, start: Evaluation) -> None:
        """Continue the progress of an earlier loop if it ended at this value."""
        value = start.objective
        if self.progress is None or abs(value - self.progress.value) > FLOOR * abs(
            value
        ):
            self.progress = Progress(value)

    def follow(self, earlier: Accelerator) -> None:
        """Take over nothing."""

    def propose(self, current: Evaluation) -> None:
        """Propose nothing."""

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Take the new value."""
        assert self.progress is not None
        self.progress = self.progress.advance(trial.objective)

    @property
    def remaining(self) -> float:
        """Extrapolation of the increments."""
        assert self.progress is not None
        return self.progress.remaining


class Squarem:
    """Squared extrapolation (Varadhan & Roland 2008, scheme S3).

    From x₀, x₁ = F(x₀), x₂ = F(x₁), r = x₁ − x₀ and v = (x₂ − x₁) − r, the proposal is
    x₀ + 2αr + α²v with α = ‖r‖/‖v‖ between 1 and a limit that grows with success.
    """

    step = "em"

    def __init__(
        self, chart_at: Callable[[Any], Chart], progress: Progress | None = None
    ) -> None:
        self._chart_at = chart_at
        self._limit = 4.0
        self._alpha = 1.0
        self._previous: Evaluation | None = None
        self._estimates: deque[float] = deque([np.inf, np.inf], maxlen=2)
        self._plain = Plain(chart_at, progress)

    @property
    def progress(self) -> Progress | None:
        """That of the last plain steps."""
        return self._plain.progress

    def begin(self, start: Evaluation) -> None:
        """Start a cycle."""
        self._plain.begin(start)

    def follow(self, earlier: Accelerator) -> None:
        """Take over nothing."""

    def propose(self, current: Evaluation) -> Any | None:
        """Extrapolate, once there are two plain steps from a point."""
        self.step = "em"
        if self._previous is None:
            return None
        chart = self._chart_at(current.parameters)
        x0 = chart.pack(self._previous.parameters)
        x2 = chart.pack(current.successor)
        # In this chart the current point x₁ is the origin.
        r, v = -x0, x2 + x0
        self._previous = None
        norm_v = np.linalg.norm(v)
        alpha = float(np.linalg.norm(r) / norm_v) if norm_v > 0 else 1.0
        self._estimates.append(0.5 * float(x2 @ x2) * max(float(alpha), 1.0))
        self._alpha = float(np.clip(alpha, 1.0, self._limit))
        if self._alpha == 1.0:
            return None
        self.step = "squarem"
        return chart.unpack(x0 + 2 * self._alpha * r + self._alpha**2 * v)

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Adapt the limit."""
        if self.step == "em":
            self._plain.learn(current, trial, accepted)
            self._previous = current
            return
        if not accepted:
            self._limit = max(self._limit / 4, 1.5)
        elif self._alpha == self._limit:
            self._limit *= 4
        self._plain.begin(trial if accepted else current)

    @property
    def remaining(self) -> float:
        """½‖step‖²·α of the last two cycles."""
        return max(self._estimates)


class Memory:
    """Pairs of a step s and the change y of the (negative) gradient along it.

    The last `size` of them, as rows of S and Y, with their products S Yᵀ and Y Yᵀ.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.n = 0

    def add(self, s: np.ndarray, y: np.ndarray) -> None:
        """Remember a pair; the oldest one is forgotten if there are too many."""
        if self.n == 0:
            self._S, self._Y = np.empty((2, self._size, len(s)))
            self._SY, self._YY = np.empty((2, self._size, self._size))
        if self.n == self._size:
            for rows in (self._S, self._Y):
                rows[:-1] = rows[1:]
            for products in (self._SY, self._YY):
                products[:-1, :-1] = products[1:, 1:]
            self.n -= 1
        n = self.n
        self._S[n], self._Y[n] = s, y
        self._SY[: n + 1, n] = self._S[: n + 1] @ y
        self._YY[n, : n + 1] = self._YY[: n + 1, n] = self._Y[: n + 1] @ y
        self.n += 1

    def clear(self) -> None:
        """Forget all pairs."""
        self.n = 0

    def extend(self, other: Memory) -> None:
        """Remember the pairs of another memory as well."""
        for i in range(other.n):
            self.add(other._S[i], other._Y[i])

    def apply(self, r: np.ndarray) -> np.ndarray:
        """Return H r, in the compact form of Byrd, Nocedal & Schnabel (1994), eq. 2.6.

        With R the upper triangle of S Yᵀ and D its diagonal:
        H = γI + SᵀR⁻ᵀ(D + γYYᵀ)R⁻¹S − γSᵀR⁻ᵀY − γYᵀR⁻¹S. γ is half-way between the
        identity, which the plain step stands for, and the usual scaling by the last
        pair: the root of s·y / y·y, which is at least 1.
        """
        n = self.n
        if n == 0:
            return r.copy()
        S, Y, inner = self._S[:n], self._Y[:n], self._YY[:n, :n]
        # What is below the diagonal is not read.
        triangle = self._SY[:n, :n]
        scaling = float(triangle[-1, -1]) / float(inner[-1, -1])
        gamma = math.sqrt(max(scaling, 1.0))
        a = solve_upper(triangle, S @ r)[0]
        b = np.diagonal(triangle) * a + gamma * (inner @ a - Y @ r)
        return gamma * (r - a @ Y) + solve_upper(triangle, b, trans=1)[0] @ S


class LBFGS:
    """Limited-memory BFGS with the plain step for a gradient.

    In a chart the plain step r is the gradient of the objective, but for the chart's
    bending, with a Hessian between 0 and 1 (Jamshidian & Jennrich 1997). The first
    steps are plain. After a rejected step one plain step is taken, or, far from a
    maximum, where these are the better ones, one more each time; after several the
    chart is moved, and the path looked back at from there.
    """

    step = "em"
    warm_up = 2
    memory = 50
    """Pairs, at most: as many as that are all the curvature of small mixtures."""
    hindsight = 12
    """Points of the path that are looked back at."""
    patience = 8
    """Plain steps in a row, at most."""
    longest = 1.5
    """Largest step, in standard deviations or logarithms."""
    least_trust = 1 / 256
    """Share of a step that is tried, at least, where longer ones are refused."""
    window = 5
    """Steps of which the gains are added up, to see whether they shrink."""
    endless = 100.0

    def __init__(
        self, chart_at: Callable[[Any], Chart], progress: Progress | None = None
    ) -> None:
        self._chart_at = chart_at
        self._plain = Plain(chart_at, progress)
        self._pairs = Memory(self.memory)

    def follow(self, earlier: Accelerator) -> None:
        """Take over the curvature, which hardly depends on how many data there are.

        Pairs of steps and changes of the gradient both grow with the root of the
        number of data, so that their quotients stay the same.
        """
        if isinstance(earlier, LBFGS) and earlier._steps > earlier.warm_up:
            earlier._settle()
            self._pairs.extend(earlier._pairs)

    @property
    def progress(self) -> Progress | None:
        """That of the plain steps, unless they are over."""
        return self._plain.progress if self._steps <= self.warm_up else None

    def begin(self, start: Evaluation) -> None:
        """Begin with plain steps."""
        self._plain.begin(start)
        self._steps = 0
        self._rejections = 0
        self._trust = 1.0
        self._plain_left = 0
        self._gain = math.inf
        self._flat = 0
        self._path: deque[Evaluation] = deque([start], maxlen=self.hindsight)
        self._estimates: deque[float] = deque(maxlen=5)
        self._shrinkages: deque[float] = deque(maxlen=3)
        self._gains: deque[float] = deque(maxlen=2 * self.window)
        if self._pairs.n:
            self._steps = self.warm_up
            self._put_chart_at(start)

    def _put_chart_at(self, point: Evaluation) -> None:
        self._chart = self._chart_at(point.parameters)
        self._move_to(*self._locate(point))

    def _locate(self, point: Evaluation) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of a point, and the plain step from there."""
        x = self._chart.pack(point.parameters)
        return x, self._chart.pack(point.successor) - x

    def _move_to(self, x: np.ndarray, r: np.ndarray) -> None:
        self._x, self._r = x, r
        self._direction = self._pairs.apply(r)

    def _settle(self) -> None:
        """Put the chart at the end of the path, and learn from the path."""
        self._chart = self._chart_at(self._path[-1].parameters)
        self._pairs.clear()
        places = [self._locate(point) for point in self._path]
        for here, there in pairwise(places):
            self._remember(*here, *there)
        self._move_to(*places[-1])

    def _remember(
        self, x0: np.ndarray, r0: np.ndarray, x1: np.ndarray, r1: np.ndarray
    ) -> None:
        """Keep the curvature between two points, if it is that of a maximum."""
        s, y = x1 - x0, r0 - r1
        if float(s @ y) > 1e-8 * math.sqrt(float(s @ s) * float(y @ y)):
            self._pairs.add(s, y)

    def propose(self, current: Evaluation) -> Any | None:
        """Take a quasi-Newton step."""
        self._steps += 1
        self.step = "em"
        if self._steps <= self.warm_up:
            return None
        if self._plain_left:
            self._plain_left -= 1
            self._target = self._x + self._r
            return None
        farthest = self._chart.farthest(self._direction)
        length = self._trust * min(1.0, self.longest / max(farthest, self.longest))
        self._target = self._x + length * self._direction
        self.step = "l-bfgs"
        return self._chart.unpack(self._target)

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Remember how the plain step changed along the step."""
        if accepted:
            self._path.append(trial)
        gain = trial.objective - current.objective
        self._gains.append(gain if accepted else 0.0)
        size = abs(current.objective)
        # A plain step falls by rounding alone, of single precision at most.
        fell = self._steps <= self.warm_up and -SINGLE * size <= gain < 0
        flat = fell or abs(gain) <= FLOOR * size
        self._flat = self._flat + 1 if flat else 0
        if self._steps <= self.warm_up:
            self._plain.learn(current, trial, accepted)
            if self._steps == self.warm_up:
                self._settle()
            return
        # The step was made in the chart, where no packing of the trial can move it.
        x = self._target
        r = self._chart.pack(trial.successor) - x
        self._remember(self._x, self._r, x, r)
        if not accepted:
            self._rejections += 1
            if self._rejections > 2:
                self._trust = max(self._trust / 4, self.least_trust)
            far = self._gain > FAR * len(x)
            self._plain_left = min(self._rejections, self.patience) if far else 1
            if self._rejections % 3 == 0:
                self._settle()
            else:
                self._move_to(self._x, self._r)
            return
        self._gain = gain
        if self.step != "em":
            self._rejections = 0
            self._trust = min(2 * self._trust, 1.0)
        before = float(np.linalg.norm(self._r))
        self._shrinkages.append(float(np.linalg.norm(r)) / before if before else 0.0)
        self._move_to(x, r)
        self._estimates.append(0.5 * float(r @ self._direction))

    @property
    def remaining(self) -> float:
        """½ rᵀHr, the largest of several steps; more where gains do not shrink.

        The curvature along r is known once a step has halved r, which slow directions
        that are not in the memory would not let it do: then of three steps, else five.
        Beside a saddle r is small and grows, and so do the gains.
        """
        if self._flat >= 3:
            return 0.0
        if self._steps <= self.warm_up:
            # It takes more steps than these to tell, but for earlier loops.
            return self._plain.remaining
        known = len(self._shrinkages) == 3 and min(self._shrinkages) <= 0.5
        needed = 3 if known else 5
        if len(self._estimates) < needed:
            return np.inf
        return max(*list(self._estimates)[-needed:], self._still_coming())

    def _still_coming(self) -> float:
        """Return what is left if gains go on shrinking as from window to window.

        As much as the last window gained, at least; and `endless` times that, if they
        do not shrink.
        """
        gains = list(self._gains)
        half = len(gains) // 2
        before, lately = sum(gains[-2 * half : -half]), sum(gains[-half:])
        if lately <= 0:
            return 0.0
        shrunk = before - lately
        times = lately / shrunk if shrunk > 0 else self.endless
        return lately * min(max(times, 1.0), self.endless)


ACCELERATORS: dict[str, Callable[..., Accelerator]] = {
    "auto": LBFGS,
    "em": Plain,
    "squarem": Squarem,
    "lbfgs": LBFGS,
}
