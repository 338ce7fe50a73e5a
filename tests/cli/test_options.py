"""Values of options that are not plain numbers or paths."""

import click
import pytest

from onnx2snn.cli.options import BYTES


@pytest.mark.parametrize(
    ("text", "expected"), [("4096", 4096), ("64M", 64 << 20), ("1g", 1 << 30), ("2KiB", 2048)]
)
def test_bytes(text, expected):
    assert BYTES.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "0", "M", "-1", "1.5G", "3MG", "lots"])
def test_what_is_no_number_of_bytes(text):
    with pytest.raises(click.BadParameter):
        BYTES.convert(text, None, None)
