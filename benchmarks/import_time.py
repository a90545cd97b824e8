"""What `import cnnbook` costs beside `import keras`, in fresh processes that take turns.

    python benchmarks/import_time.py
    python benchmarks/import_time.py --rounds 10

The bar: 50 ms more than `import keras`, whether cnnbook is imported alone or before Keras. The least of all rounds
decides, because whatever else the machine does can only add to a time; the medians are printed beside it. Exit code 1
when the bar is missed.
"""

import argparse
import statistics
import subprocess
import sys

BAR = 0.050  # seconds
STATEMENTS = ("import keras", "import cnnbook", "import cnnbook, keras")
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def seconds(statement):
    """How long the statement takes in a new process, without the start of the interpreter."""
    command = [sys.executable, "-c", TIMED.format(statement)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{statement!r} failed in {sys.executable}:\n{result.stderr}")
    return float(result.stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (default 7)")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error(f"--rounds must be an int >= 1, got {rounds}")
    times = {statement: [] for statement in STATEMENTS}
    for number in range(rounds + 1):
        for statement in STATEMENTS:
            taken = seconds(statement)
            if number:  # the first round fills the caches of the disk
                times[statement].append(taken)
    print(f"{rounds} rounds                 least    median   least beyond keras")
    least = {statement: min(taken) for statement, taken in times.items()}
    for statement, taken in times.items():
        beyond = least[statement] - least["import keras"]
        print(f"{statement:24s} {least[statement]:6.3f} s  {statistics.median(taken):6.3f} s  {beyond * 1e3:+8.0f} ms")
    held = max(least.values()) - least["import keras"] <= BAR
    print(f"at most {BAR * 1e3:.0f} ms more than keras: {'yes' if held else 'NO'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
