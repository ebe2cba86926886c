"""What can every distribution of one variable's next value say: a density, a cdf, and its inverse?"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Head(ABC):
    """The distribution of one variable's next value on the [-1, 1] scale.

    Legend of shapes: ... = any leading axes, P = parameters of one variable.

    Attributes:
        width: P.
        continuous: Whether values have densities, but for those in ``atoms``.
        atoms: Which values of a continuous variable have probabilities of their own: bounds, -1 or 1.
    """

    width: int
    continuous: bool = False
    atoms: tuple[float, ...] = ()

    @abstractmethod
    def log_prob(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Return log densities or probabilities (...) of ``value`` (...) given parameters (..., P)."""

    @abstractmethod
    def cdf(self, params: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """Return P(next <= value), shape (...)."""

    @abstractmethod
    def icdf(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Return the value (...) whose cdf first reaches ``u`` (...)."""

    def sample(self, params: Tensor, u: Tensor, last: Tensor) -> Tensor:
        """Draw a value (...) by a uniform ``u`` (...): its quantile, hence never less for a higher ``u``."""
        return self.icdf(params, u, last)

    @abstractmethod
    def mean(self, params: Tensor, last: Tensor) -> Tensor:
        """Return the mean (...) in typical changes (continuous) or levels: what heads are compared by."""
