"""Parameter types, shared options and progress of the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from onnx2snn.runtime.precision import ARITHMETIC
from onnx2snn.settings import AUTO

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class StepList(click.ParamType[tuple[int, ...]]):
    """A comma-separated list of time steps, e.g. 8,16,32."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Whole numbers of at least 1, in rising order."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' is no list of positive whole numbers such as 8,16,32", param, ctx)
        return tuple(sorted({int(part) for part in parts}))


class PositiveOrAuto(click.IntRange):
    """A whole number of at least 1, or the word auto."""

    name = "integer or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or "auto"."""
        return AUTO if value == AUTO else super().convert(value, param, ctx)


class ByteSize(click.ParamType[int]):
    """A number of bytes, e.g. 64M or 1G."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, a unit K, M or G multiplied in."""
        text = str(value).strip().upper().removesuffix("B").removesuffix("I")
        number = text.rstrip("KMG")
        unit = 1 << {"": 0, "K": 10, "M": 20, "G": 30}.get(text[len(number) :], 0)
        if not number.isdecimal() or not int(number) or len(text) - len(number) > 1:
            self.fail(f"'{value}' is no number of bytes such as 64M or 1G", param, ctx)
        return int(number) * unit


STEPS = StepList()
BYTES = ByteSize()
POSITIVE = click.IntRange(min=1)
POSITIVE_OR_AUTO = PositiveOrAuto(min=1)


def speed_options(command: Command) -> Command:
    """`--memory` and `--compile`."""
    for option in (
        click.option(
            "--compile/--no-compile",
            default=True,
            show_default=True,
            help="Run neurons as compiled kernels where there is a C compiler.",
        ),
        click.option(
            "--memory",
            type=BYTES,
            help="Bytes for the signals of the time steps that run at once, e.g. 64M "
            "[default: suits the caches].",
        ),
    ):
        command = option(command)
    return command


def device_options(command: Command) -> Command:
    """`--device` and `--precision`."""
    for option in (
        click.option(
            "--precision",
            type=click.Choice(list(ARITHMETIC)),
            default="float32",
            show_default=True,
            help="Type of states and weights; bf16 and tf32: of what synapses multiply only.",
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Where to run; auto takes the GPU where there is one.",
        ),
    ):
        command = option(command)
    return command


def debug_option(command: Command) -> Command:
    """`--debug`, which the entry point reads."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show a traceback on errors."
    )(command)


def force_option(command: Command) -> Command:
    """`--force`, to replace existing files."""
    return click.option("--force", is_flag=True, help="Replace existing output files.")(command)


Report = Callable[[int, int], None]


@contextmanager
def progress(label: str) -> Iterator[Report]:
    """A progress bar on standard error, drawn only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:

        def report(done: int, total: int) -> None:
            bar.update(1000 * done // max(total, 1) - bar.pos)

        yield report


StageReport = Callable[[str, int, int], None]


@contextmanager
def stages() -> Iterator[StageReport]:
    """Progress bars on standard error, one for each stage of the work."""
    with ExitStack() as stack:
        bars: dict[str, Report] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in bars or done <= 1:
                stack.close()
                bars.clear()
                bars[stage] = stack.enter_context(progress(stage))
            bars[stage](done, total)

        yield report
