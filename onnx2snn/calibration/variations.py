"""More samples to tune on than were given: the given ones, moved along differences of others.

x_i + u (x_j - x_k), u uniform in [0, reach], kept within the input's range. Differences of
samples are the directions in which samples differ, so nothing needs to be known of what an input
means; the ANN answers the new samples as it answers any.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn.calibration.data import Feed
from onnx2snn.calibration.values import first_samples, sample_count

# A difference takes three samples that differ; where ENOUGH are given, others help no more.
FEWEST = 3
ENOUGH = 256
# Largest u: REACH / sqrt(samples), the further the fewer samples there are, up to LONGEST_REACH.
REACH = 2.0
LONGEST_REACH = 0.5

Array = NDArray[Any]


def filled(feed: Feed, samples: int) -> Feed:
    """The first `samples` samples of the feed, with others made of them where it has too few.

    Integers, Booleans and inputs of only two values (masks, flags) stay as sample i has them.
    Without any other input nothing is made.
    """
    given = sample_count(feed)
    if given >= min(samples, ENOUGH):
        return first_samples(feed, samples)
    if given < FEWEST or not any(_moves(array) for array in feed.values()):
        return feed
    generator = np.random.default_rng(0)
    first, second, third = generator.integers(0, given, (3, samples - given))
    share = generator.uniform(0, min(REACH / given**0.5, LONGEST_REACH), samples - given)

    def moved(array: Array) -> Array:
        start: Array = array[first]
        if not _moves(array):
            return start
        u = share.reshape(-1, *(1,) * (array.ndim - 1)).astype(array.dtype)
        new = start + u * (array[second] - array[third])
        kept: Array = np.clip(new, array.min(), array.max())
        return kept

    return {
        name: np.concatenate([array, moved(array)]) if array.ndim else array
        for name, array in feed.items()
    }


def _moves(array: Array) -> bool:
    """Whether an input is a signal: floating point, of more than two values."""
    if not array.ndim or array.dtype.kind != "f":
        return False
    return bool(((array != array.min()) & (array != array.max())).any())
