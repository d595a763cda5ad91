# SPDX-License-Identifier: MIT
"""What programs' resident memory does while something runs."""

import statistics
import threading

from .process import SANITIZED

# A program that forwards needs some 5 MB, a few hundred KB per busy stream, and what the kernel took from its
# allocator's arenas; a queue that grows with the transfer would pass this within the first tenth of it.
BOUND_KB = 64 * 1024
# A stream may hold its window of 4 MiB at either end when the machine is busy, as it did not when the transfer began.
GROWTH_KB = 16 * 1024

# AddressSanitizer keeps what was freed (256 MB) and a shadow of everything.
if SANITIZED:
    BOUND_KB = 900 * 1024
    GROWTH_KB = 400 * 1024


class MemoryWatch:
    """Samples VmRSS of {name: Process} until the with block ends."""

    def __init__(self, processes, interval=0.05):
        self._processes, self._interval = processes, interval
        self._stop = threading.Event()
        self.samples = {name: [] for name in processes}

    def _run(self):
        while not self._stop.is_set():
            for name, process in self._processes.items():
                self.samples[name].append(process.rss_kb())
            self._stop.wait(self._interval)

    def __enter__(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def assert_bounded(self, bound_kb=BOUND_KB):
        for name, samples in self.samples.items():
            assert max(samples) < bound_kb, f"{name} took {max(samples)} KB: {samples[::10]}"

    def assert_flat(self):
        """Bounded, and without growth: queues fill and empty all the time, so what counts is how low it gets in the
        last quarter of the run, next to what was usual in the second (where it may have been low for a moment)."""
        self.assert_bounded()
        for name, samples in self.samples.items():
            quarter = len(samples) // 4
            if quarter == 0:
                continue
            before, after = statistics.median(samples[quarter:2 * quarter]), min(samples[-quarter:])
            assert after - before < GROWTH_KB, f"{name} grew from {before} to {after} KB: {samples}"
