"""What a selection is asked: the data, the candidates, how they are searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.scale import Clusterings, QuickFit
from skem.core.mixture.seeds import starting_methods
from skem.core.search.effort import products
from skem.core.search.follow import swiftly
from skem.core.search.path import Found, Path, growing
from skem.core.search.search import Search
from skem.core.solve.registry import ACCELERATORS

if TYPE_CHECKING:
    from skem._fitting.likelihood import LikelihoodMixture

LIGHT = 2**19
"""Products in a step up to which many steps are quick."""

QuickFits = dict[int, QuickFit]
"""Those that the penalty's scales are taken from, by the number of components."""


@dataclass(frozen=True)
class Problem:
    """The data, and how mixtures are fitted to them.

    `opened` holds the data ready, in whatever process it is called. Candidates that
    are at most `margin` nats behind the best one by the criterion are followed to the
    end. `options` are the parameters that an estimator of `kind` of each of them has.
    """

    opened: Callable[[], AbstractContextManager[Blocks]]
    kind: type[LikelihoodMixture]
    components: Sequence[int]
    n_init: int
    criterion: str
    margin: float
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    verbose: int = 0
    clusterings: Clusterings = field(default_factory=Clusterings)
    prepared: dict[str, EMMap] = field(default_factory=dict)
    """Problems without their data, by structure: of this process."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what another process finds by itself."""
        return vars(self) | {"clusterings": Clusterings(), "prepared": {}}

    def say(self, structure: Structure, what: str) -> None:
        """Print how far the search has come, in whatever process, if that is wanted."""
        if self.verbose:
            print(f"{structure.name}: {what}", flush=True)

    @contextmanager
    def stages(
        self, structure: Structure, known: QuickFits | None = None
    ) -> Iterator[list[EMMap]]:
        """Open the data: samples of growing size, and all rows, as one component.

        Quick fits may be `known`.
        """
        with self.opened() as blocks:
            before = self.prepared.get(structure.name)
            if before is not None and isinstance(blocks, ArrayBlocks):
                em = before.reopened(blocks)
            else:
                one = self.mixture(1, structure)
                em = one._prepared(blocks, self.clusterings)
                self.prepared[structure.name] = replace(em, blocks=cast(Any, None))
            em.quick_fits.update(known or {})
            # One seed: the same rows for every structure.
            rng = np.random.RandomState(self.seed)
            yield growing(em, max(self.components), rng)

    def mixture(self, K: int, structure: Structure) -> LikelihoodMixture:
        """Return an estimator for so many components."""
        return self.kind(K, covariance_type=structure.name, **self.options)

    def search(
        self, K: int, known: Sequence[Parameters], effort: Effort, again: int = 0
    ) -> Search:
        """Return the search of a single fit, with other random numbers if `again`."""
        accelerate = ACCELERATORS[self.options["algorithm"]]
        tol, max_iter = self.options["tol"], self.options["max_iter"]
        return Search(
            starting_methods(self.options["init_params"]),
            K,
            np.random.RandomState([self.seed, effort.turn, K, again]),
            partial(swiftly, accelerate, tol, max_iter),
            accelerate,
            known,
            effort.n_starts,
            effort.patience,
        )

    def has_quick_fit(self, em: EMMap, K: int) -> bool:
        """Whether the scale of the penalty comes with a start of so many components."""
        if em.sample is None or not self.diverse:
            return False
        return 1 < K <= em.sample.most_clusters

    @property
    def diverse(self) -> bool:
        """Whether any start will do: none is asked for."""
        return bool(self.options["init_params"] == "kmeans")

    def many(self, em: EMMap) -> bool:
        """Whether many starts are to be tried at once."""
        light = products(em, max(self.components)) <= LIGHT
        return light and em.quick and self.diverse

    def path(self, em: EMMap, found: dict[int, Found] | None = None) -> Path:
        """Return the path over the candidates' numbers of components."""
        accelerate = ACCELERATORS[self.options["algorithm"]]
        tol, max_iter = self.options["tol"], self.options["max_iter"]
        return Path(em, self.components, accelerate, tol, max_iter, found)


@dataclass(frozen=True)
class Effort:
    """How far behind the best a candidate may be, and how it is searched then.

    By `margin` nats by the criterion, and `short` for each of its parameters; from so
    many fresh starts, and with so much patience. Each `turn` has other random numbers.
    It is searched as often once more by itself, until that leads to the same optimum.
    """

    turn: int
    margin: float
    short: float
    n_starts: int
    patience: int
    more: int = 0
