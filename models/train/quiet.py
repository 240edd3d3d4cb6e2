"""What the exporters of the training scripts share."""

import contextlib
import os
import sys


@contextlib.contextmanager
def silent_stderr():
    """torch's exporter loads python3-onnx, whose static registration clashes with torch's and prints
    thousands of lines."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
