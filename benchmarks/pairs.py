"""What the benchmarks share: memory, the ratio of pairs and its interval. Light, for a process that is measured."""

import math
import platform
import sys
from pathlib import Path

import numpy as np


def peak_memory():
    """The largest resident memory of this process so far, in megabytes (10^6 bytes).

    Linux counts in ru_maxrss also the parent's memory, which the process had between fork and exec; VmHWM starts anew.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024) / 1e6


def judge(ours, theirs, words, confidence):
    """Geometric mean of the paired ratios ours/theirs, its interval, and the verdict."""
    from scipy import stats

    logs = np.log(np.array(ours) / np.array(theirs))
    reach = stats.t.ppf((1 + confidence) / 2, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    ratio, low, high = (math.exp(value) for value in (logs.mean(), logs.mean() - reach, logs.mean() + reach))
    more, less = words
    return ratio, low, high, more if low > 1 else less if high < 1 else "no difference seen"
