"""A form's pass over a block in compiled code.

What `forms` and the softmax compute block by block, the compiled pass computes for a
few samples at a time. The few that are too far from all components are left to the
form's careful way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.far import common_term
from skem.core.gaussian.quadratic import Norm, Nothing, Pairs, Quadratic, Squares
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.ties import Ties
from skem.core.passes.forms import (
    MAX_EXPANDED_FEATURES,
    NEGLIGIBLE,
    Centred,
    Expanded,
    Form,
    with_row_of_noise,
)
from skem.kernels import native
from skem.kernels.native import JOB, SOURCES, Library, Model, Prepared, address

QUADRATICS: dict[type, int] = {Nothing: 0, Norm: 1, Squares: 2, Pairs: 3}
"""Numbers of the quadratic parts in fold.cpp."""
MASKED: dict[type, int] = {Norm: 4, Squares: 5}
"""Numbers of those with masks of what is not missing at their end."""
CENTRED = {Norm, Squares, Pairs}
"""Those that the centred form is compiled for, too."""
PACKED = 2**17
"""Numbers of matrices whose copy takes longer than a few samples."""
MAX_CENTRED_FEATURES = 256
"""Features of matrices above which BLAS is faster in the centred form."""


@overload
def _contiguous(array: None) -> None: ...


@overload
def _contiguous(array: np.ndarray) -> np.ndarray: ...


def _contiguous(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else np.ascontiguousarray(array, dtype=float)


def _factors(form: Centred) -> np.ndarray:
    """Factors of precisions with a row of noise, variances for each component."""
    factors, structure = form.parameters.precisions_cholesky, form.structure
    if structure.shared and not structure.matrices:
        factors = np.repeat(factors[..., None, :], form.shape[-1], axis=-2)
    return with_row_of_noise(form, factors, form.parameters.weights.ndim - 1)


def as_job(
    block: Block, ties: Ties | None, dtype: np.dtype
) -> tuple[tuple[np.ndarray | None, ...], tuple[int, ...]]:
    """Return a block's arrays, and the fields of a job that say where they are.

    What cannot be read in place is copied, data to `dtype`. The fields hold as long as
    the arrays do.
    """
    data, weight = block.data, block.weight
    atoms = squares = None
    if ties is not None:
        if data.dtype.str in SOURCES:
            atoms = ties.table(data.dtype)
        if atoms is None:
            squares = ties.squares(data)
    if data.dtype.str not in SOURCES or not data.flags.aligned:
        data = data.astype(dtype)
    if weight is not None and not weight.flags.aligned:
        weight = weight.copy()
    squares_strides = (0, 0)
    if squares is not None:
        by_feature, by_sample = squares.strides
        squares_strides = (by_feature, by_sample * (squares.shape[1] > 1))
    fields = (
        data.shape[1],
        address(data),
        SOURCES[data.dtype.str],
        *data.strides,
        address(weight),
        0 if weight is None else weight.strides[0],
        address(squares),
        *squares_strides,
        address(atoms),
        0 if atoms is None else atoms.shape[1] // 2,
    )
    return (data, weight, squares, atoms), fields


@dataclass(frozen=True)
class Pass:
    """A model for the compiled pass, which can be run on blocks."""

    library: Library
    model: Model | Prepared

    @cached_property
    def _packed(self) -> bytes:
        return self.model.packed()

    @cached_property
    def _scratch(self) -> int:
        """Numbers of eight bytes of memory to work in."""
        return -(-self.library.scratch_bytes(self._packed) // 8)

    @cached_property
    def _dtype(self) -> np.dtype:
        return np.dtype(np.float32 if self.model.itemsize == 4 else np.float64)

    def run(
        self,
        block: Block,
        ties: Ties | None,
        workspace: Workspace,
        *,
        sums: np.ndarray | None = None,
        loglik: np.ndarray | None = None,
        log_norm: np.ndarray | None = None,
        resp: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        owned: np.ndarray | None = None,
    ) -> np.ndarray:
        """Fill what is given; return which samples are left to the caller.

        `resp` (K, b) may have any strides, but for stacks. Of a stack, sample i of
        mixture m has number m·b + i.
        """
        n_lost = self.model.n_mixtures * block.data.shape[1]
        # The arrays are held until the pass is done.
        _held, fields = as_job(block, ties, self._dtype)
        resp_strides = (0, 0) if resp is None else resp.strides[-2:]
        memory = workspace.array("pass", (n_lost + self._scratch,), np.int64)
        lost = address(memory)
        job = JOB.pack(
            *fields,
            address(sums),
            address(loglik),
            address(log_norm),
            address(resp),
            *resp_strides,
            address(labels),
            lost,
            lost + 8 * n_lost,
            address(owned),
        )
        return memory[: self.library.run(self._packed, job)]


@dataclass(frozen=True)
class Fused:
    """A form in coordinates, computed by a pass."""

    form: Form
    coordinates: Coordinates
    compiled: Pass

    @classmethod
    def of(
        cls,
        form: Form,
        coordinates: Coordinates,
        tails: np.ndarray | None = None,
        shared: bool = False,
    ) -> Fused | None:
        """Return None if there is no compiled pass for this.

        With `tails`, as fold.cpp has them, components are t distributions; `shared` is
        whether they have one scale matrix, though the form has one for each.
        """
        library, kind = native.library(), QUADRATICS.get(type(form.quadratic))
        if library is None or kind is None or coordinates.unit is not None:
            return None
        K, d = form.shape[-1], form.parameters.shape[-1]
        parameters, structure = form.parameters, form.structure
        means = cholesky = diagonals = common = None
        if isinstance(form, Centred):
            known = type(form.quadratic) in CENTRED
            if not known or (structure.matrices and d > MAX_CENTRED_FEATURES):
                return None
            means = with_row_of_noise(form, parameters.means)
            cholesky = _factors(form)
            if coordinates.ties is not None:
                diagonals = structure.precision_diagonals(
                    parameters.precisions_cholesky, parameters.shape
                )
                diagonals = with_row_of_noise(form, diagonals)
        elif form.bounded and kind == QUADRATICS[Pairs]:
            means = with_row_of_noise(form, parameters.means)
        if not form.bounded and parameters.weights.ndim == 1:
            root = parameters.precisions_cholesky
            common = structure.matrix(root, 0, d)
        model = Model(
            form.dtype.itemsize,
            isinstance(form, Centred),
            kind,
            structure.shared or shared,
            form.bounded and tails is None,
            d,
            K,
            math.prod(parameters.weights.shape[:-1]),
            _contiguous(coordinates.shift),
            _contiguous(coordinates.scale),
            _contiguous(form.theta if isinstance(form, Expanded) else None),
            _contiguous(means),
            _contiguous(cholesky),
            _contiguous(form.constants if isinstance(form, Centred) else None),
            _contiguous(diagonals),
            _contiguous(common),
            form.far if tails is None else math.inf,
            NEGLIGIBLE,
            _contiguous(tails),
        )
        return cls(form, coordinates, Pass(library, model))

    @cached_property
    def _sizes(self) -> tuple[tuple[int, ...], int, int]:
        """Mixtures, components and width of the sums."""
        *stack, K = self.form.shape
        d = self.form.parameters.shape[-1]
        return tuple(stack), K, 1 + d + self.form.quadratic.size(d)

    @property
    def packs(self) -> bool:
        """Whether each pass begins with a copy of matrices that a cache cannot hold."""
        form = self.form
        large = form.parameters.precisions_cholesky.size >= PACKED
        return isinstance(form, Centred) and form.structure.matrices and large

    def statistics(self, block: Block, workspace: Workspace) -> Statistics:
        """Fold one block into sufficient statistics."""
        form = self.form
        stack, rows, width = self._sizes
        loglik, sums = np.empty(stack), np.empty((*stack, rows, width))
        lost = self.compiled.run(
            block, self.coordinates.ties, workspace, sums=sums, loglik=loglik
        )
        loglik += block.total_weight * form.peak
        add_left(form, self.coordinates, block, lost, loglik, sums)
        return form.statistics(loglik[()], sums)

    def log_norm(
        self, block: Block, workspace: Workspace, resp: np.ndarray | None = None
    ) -> np.ndarray:
        """Log-density less the form's peak, (b,), float64; fill `resp` (K, b) as well.

        Of a single mixture. Unlike `careful`, with the common term.
        """
        out = workspace.array("log_norm", (block.data.shape[1],), np.float64)
        self._fill(block, workspace, out, resp)
        return out

    def responsibilities(
        self, block: Block, workspace: Workspace, resp: np.ndarray
    ) -> None:
        """Fill posterior probabilities, (…, K, b)."""
        self._fill(block, workspace, None, resp)

    def labels(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Return the most probable component of each sample, (b,).

        Of far samples, and where two are nearly equal, by the probabilities.
        """
        labels = workspace.array("labels", (block.data.shape[1],), np.int64)
        ties = self.coordinates.ties
        found = self.compiled.run(block, ties, workspace, labels=labels)
        if len(found):
            few = block.only(found)
            shape = (*self.form.shape, len(found))
            resp = np.empty(shape, self.form.dtype)
            self.responsibilities(few, Workspace(), resp)
            labels[found] = resp.argmax(axis=0)
        return labels

    def _fill(
        self,
        block: Block,
        workspace: Workspace,
        log_norm: np.ndarray | None,
        resp: np.ndarray | None,
    ) -> None:
        lost = self.compiled.run(
            block, self.coordinates.ties, workspace, log_norm=log_norm, resp=resp
        )
        for mixture, one, found in left_samples(self.form, lost, block.data.shape[1]):
            with np.errstate(all="ignore"):
                loaded = one.load(self.coordinates, block.data[:, found], Workspace())
                far, its_resp = one.careful(loaded)
                if log_norm is not None:
                    if not one.bounded:
                        far = far + common_term(
                            one.structure, one.parameters, loaded.z.astype(float)
                        )
                    log_norm[found] = far
                if resp is not None:
                    resp[mixture][:, found] = its_resp


def left_samples(
    form: Form, lost: np.ndarray, b: int
) -> Iterator[tuple[tuple[int, ...], Form, np.ndarray]]:
    """Yield which mixtures have left samples, their forms, and which samples."""
    if not len(lost):
        return
    stack = form.parameters.weights.shape[:-1]
    of, sample = np.divmod(lost, b)
    for m in np.unique(of):
        mixture = tuple(int(i) for i in np.unravel_index(m, stack)) if stack else ()
        yield mixture, form.of_mixture(mixture), sample[of == m]


def add_left(
    form: Form,
    coordinates: Coordinates,
    block: Block,
    lost: np.ndarray,
    loglik: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add what a pass has left to the log-likelihoods and sums of a block."""
    for mixture, one, found in left_samples(form, lost, block.data.shape[1]):
        far = block.only(found)
        with np.errstate(all="ignore"):
            loaded = one.load(coordinates, far.data, Workspace())
            log_norm, resp = one.careful(loaded)
        weight = far.weight_of_each
        with np.errstate(over="ignore"):
            loglik[mixture] += log_norm @ weight
        weighted = (resp * weight).astype(form.dtype)
        sums[mixture] += one.sums(weighted, loaded, Workspace())


def totals(
    block: Block,
    coordinates: Coordinates,
    quadratic: Quadratic,
    workspace: Workspace,
) -> np.ndarray | None:
    """Σ v T(z) of one block as one component, (1, 1 + d + size), or None.

    None if there is no compiled pass for this.
    """
    library, kind = native.library(), QUADRATICS.get(type(quadratic))
    d = len(block.data)
    if library is None or kind is None or coordinates.unit is not None:
        return None
    if quadratic.size(d) > MAX_EXPANDED_FEATURES * (MAX_EXPANDED_FEATURES + 1) // 2:
        return None
    sums = np.empty((1, 1 + d + quadratic.size(d)))
    model = Model(
        8, False, kind, False, False, d, 1, 1,
        _contiguous(coordinates.shift), _contiguous(coordinates.scale),
        np.zeros_like(sums), None, None, None, None, None, math.inf, 0.0,
    )  # fmt: skip
    lost = Pass(library, model).run(
        block, coordinates.ties, workspace, sums=sums, loglik=np.empty(1)
    )
    return None if len(lost) else sums
