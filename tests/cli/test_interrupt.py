"""Ctrl-C in the middle of a conversion."""

import signal
import subprocess
import sys
import time

from command_models import MODELS

# A shell starts background jobs with SIGINT ignored, which the child would inherit.
STARTED = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "import onnx2snn.cli as c; print('started', flush=True); c.main()"
)


def test_ctrl_c_leaves_one_line_and_no_file(tmp_path):
    arguments = ["convert", MODELS / "digits_mlp_mixer.onnx", "-o", tmp_path / "out.onnx"]
    arguments += ["--calibration", MODELS / "digits_calibration.npz", "--time-steps", "64"]
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "started\n"
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "error: interrupted\n"
    assert not list(tmp_path.iterdir())
