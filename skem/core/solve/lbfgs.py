"""Quasi-Newton steps, with the plain step for a gradient."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg.lapack import dtrtrs as solve_upper

from skem.core.solve.accelerator import FLOOR, Accelerator, Chart, Evaluation, Progress
from skem.core.solve.plain import Plain

SINGLE = 1e-5
"""The same as `FLOOR`, where values are those of float32."""
FAR_GAIN = 0.5
"""Gain of a step, for each coordinate, that tells that a maximum is far."""


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
            earlier._settle(self.memory + 1)
            self._pairs.extend(earlier._pairs)

    @property
    def fresh(self) -> bool:
        """Whether it knows nothing yet."""
        return self._plain.progress is None and self._pairs.n == 0

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
        self._path: deque[Evaluation] = deque([start], maxlen=self.memory + 1)
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

    def _settle(self, most: int = hindsight) -> None:
        """Put the chart at the end of the path, and learn from the path."""
        self._chart = self._chart_at(self._path[-1].parameters)
        self._pairs.clear()
        places = [self._locate(point) for point in [*self._path][-most:]]
        for here, there in pairwise(places):
            self._remember(*here, *there)
        self._move_to(*places[-1])

    def _remember(
        self, x0: np.ndarray, r0: np.ndarray, x1: np.ndarray, r1: np.ndarray
    ) -> None:
        """Keep the curvature between two points, if it is that of a maximum."""
        s, y = x1 - x0, r0 - r1
        # The product of two squares may be out of range.
        size = math.sqrt(float(s @ s)) * math.sqrt(float(y @ y))
        if float(s @ y) > 1e-8 * size:
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
            far = self._gain > FAR_GAIN * len(x)
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
