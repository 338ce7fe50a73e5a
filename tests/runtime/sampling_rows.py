"""Rows of the linear operators that sample, scatter and resize."""

from __future__ import annotations

import numpy as np
from linear_row import f, i, row

ROIS = np.array([[1, 2, 6, 5], [-2, -1, 12.5, 10], [3, 3, 3.2, 3.4]], np.float32)
COLUMNS = {"dilations": [1, 2], "pads": [1, 0, 0, 1], "strides": [2, 1]}
SAMPLING = [
    row("Compress", f(3, 4), np.array([True, False, True]), axis=0),
    row("Compress", f(3, 4), np.array([False, True, True]), axis=-1),
    row("Compress", f(3, 4), np.array([False, True, True, False, False, True])),
    *(
        row("GridSample", f(2, 3, 4, 5), f(2, 3, 2, 2), **aligned, **options)
        for options in (
            *({"mode": mode, "padding_mode": "zeros"} for mode in ("linear", "nearest", "cubic")),
            *({"mode": mode, "padding_mode": "reflection"} for mode in ("linear", "cubic")),
            {"padding_mode": "border"},
        )
        for aligned in ({}, {"align_corners": 1})
    ),
    row("GridSample", f(1, 2, 3, 4, 5), f(1, 2, 3, 2, 3)),
    *(
        row("RoiAlign", f(2, 3, 8, 9), ROIS, i(0, 1, 1), **options)
        for options in (
            {"output_height": 2, "output_width": 3},
            {"output_height": 2, "output_width": 2, "sampling_ratio": 3, "spatial_scale": 0.5},
            {"output_width": 4, "coordinate_transformation_mode": "output_half_pixel"},
        )
    ),
    row("MaxUnpool", f(1, 1, 2, 2), i([[[5, 7], [13, 15]]]), kernel_shape=[2, 2], strides=[2, 2]),
    row("Col2Im", f(2, 3 * 6, 16), i(5, 6), i(2, 3)),
    row("Col2Im", f(2, 3 * 6, 9), i(5, 6), i(2, 3), **COLUMNS),
    row("Col2Im", f(2, 3 * 2, 4), i(5), i(2)),
]
RESIZE = [
    row("Resize", f(1, 2, 4, 5), None, np.array([1, 1, *s], np.float32), mode=mode, **options)
    for mode in ("nearest", "linear", "cubic")
    for options in (
        {},
        {"coordinate_transformation_mode": "asymmetric"},
        {"coordinate_transformation_mode": "pytorch_half_pixel"},
        {"coordinate_transformation_mode": "half_pixel_symmetric"},
    )
    for s in ((2.0, 3.0), (0.6, 1.7))
]
RESIZE += [
    row("Resize", f(1, 2, 4, 5), None, None, i(1, 2, 7, 3), mode=mode, **options)
    for mode in ("nearest", "linear", "cubic")
    for options in ({}, {"coordinate_transformation_mode": "align_corners"})
]
RESIZE += [
    row("Resize", f(1, 1, 4, 5), None, np.array([1, 1, 1.5, 2.5], np.float32), nearest_mode=mode)
    for mode in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
]
RESIZE += [
    row("Resize", f(1, 1, 4, 5), None, None, i(1, 1, 7, 3), mode="cubic", exclude_outside=1),
    row("Resize", f(1, 1, 4, 5), None, None, i(1, 1, 7, 3), mode="cubic", cubic_coeff_a=-0.5),
    row("Resize", f(1, 1, 4, 5), None, None, i(8, 8), axes=[2, 3], mode="linear"),
    *(
        row("Resize", f(1, 1, 4, 5), None, None, i(8, 7), axes=[2, 3], keep_aspect_ratio_policy=p)
        for p in ("not_larger", "not_smaller")
    ),
    row(
        "Resize",
        f(1, 1, 4, 5),
        np.array([0, 0, 0.2, 0.1, 1, 1, 0.8, 0.9], np.float32),
        None,
        i(1, 1, 3, 4),
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
    ),
]
