# SPDX-License-Identifier: MIT
"""Visitors that keep coming while something is done to the programs, each failure counted."""

import threading
import time


class Load:
    """Calls visit() again and again on several threads, from `with` to its end; what it raises is a failure."""

    def __init__(self, visit, threads=4, pause=0.01):
        self._visit, self._pause = visit, pause
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answers = []
        self.failures = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self):
        while not self._stop.is_set():
            try:
                answer, failure = self._visit(), None
            except Exception as error:  # whatever it is, a visitor has seen it
                answer, failure = None, repr(error)
            with self._lock:
                if failure:
                    self.failures.append(failure)
                else:
                    self.answers.append(answer)
            time.sleep(self._pause)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
