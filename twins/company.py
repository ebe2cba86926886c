"""What is it that makes a course independent of the company it is computed in?

Matrix products sum in another order where a side of them is very short. So batches have some rows at least, and so do
the tables that they are multiplied with; beyond that the sums for one person are the same in any batch, bit by bit
(tests/test_stacked_heads.py), with the libraries that torch brings along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_ROWS = 12
LEAST_TABLE = 4


def padded(rows: NDArray[Any]) -> NDArray[Any]:
    """Repeat the last of the rows (N, ...) until there are enough of them."""
    short = LEAST_ROWS - len(rows)
    return rows if short <= 0 else np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)])


def padded_rows(rows: Tensor) -> Tensor:
    """Repeat the last of row numbers (S,) until there are enough of them, if there are any."""
    short = LEAST_ROWS - len(rows)
    return rows if short <= 0 else torch.cat([rows, rows[-1:].expand(short if len(rows) else 0)])


def padded_table(table: Tensor) -> Tensor:
    """Fill the rows of tables (M, P, ...) up with zeros until there are enough of them."""
    short = max(LEAST_TABLE - table.shape[1], 0)
    return torch.cat([table, table.new_zeros(len(table), short, *table.shape[2:])], dim=1)
