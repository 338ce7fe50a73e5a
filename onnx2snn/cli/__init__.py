"""The command line: `onnx2snn convert | run | evaluate | inspect | export | trace`."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import click

from onnx2snn.cli.convert import convert_command
from onnx2snn.cli.evaluate import evaluate_command
from onnx2snn.cli.export import export_command
from onnx2snn.cli.inspect import inspect_command
from onnx2snn.cli.run import run_command
from onnx2snn.cli.trace import trace_command
from onnx2snn.ops.errors import Onnx2SnnError

INTERRUPTED = 130


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """As click does, but for the empty line that it prints at Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="onnx2snn")
def cli() -> None:
    """Convert trained ONNX models to spiking networks and run them over time steps."""


for command in (
    convert_command,
    run_command,
    evaluate_command,
    inspect_command,
    export_command,
    trace_command,
):
    cli.add_command(command)


def _fail(message: str, status: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return status


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    click.echo(f"warning: {message}", err=True)


def run_cli(arguments: list[str]) -> int:
    """Run the command line; returns the exit status: 0, 1 (bad model or data) or 2 (usage)."""
    debug = "--debug" in arguments
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=UserWarning, module=r"onnx2snn.*")
            warnings.showwarning = _show_warning
            cli.main(arguments or ["--help"], prog_name="onnx2snn", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return _fail("interrupted", INTERRUPTED)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except Onnx2SnnError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_status)
    except MemoryError:
        return _fail("out of memory; use a smaller batch or fewer time steps", 1)
    except OSError as error:
        if debug:
            raise
        return _fail(f"{error.filename or 'file system'}: {error.strerror or error}", 1)
    except Exception as error:
        if debug:
            raise
        return _fail(f"{type(error).__name__}: {error} (internal; --debug shows where)", 1)
    return 0


def main() -> None:
    """Entry point of the `onnx2snn` command."""
    sys.exit(run_cli(sys.argv[1:]))
