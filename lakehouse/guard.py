"""Keeps a reader going: a page that hangs or crashes native code costs that page, and its row says why.

The reader is a process of its own (reader.py). When it ends before its time, the next one begins where the last
batch ended, and turns the record that ended it into a dead letter.
"""

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa

from lakeloom.lakehouse import errors
from lakeloom.lakehouse.reader import BATCH, END, FRAME, LEFT_OUT, PLACE, Task
from lakeloom.lakehouse.rows import SCHEMA

# What native code dies of by its own fault. Any other end (out of memory, a cancelled task) says nothing of the bytes.
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


def batches(task: Task) -> Iterator[pa.RecordBatch]:
    """All rows of the task's files. Raises SourceFailed where their bytes could not be had; the task may run again."""
    killed = set[str]()
    while True:
        reader = _Child(task)
        try:
            for file, record, batch in reader.frames():
                task = replace(task, file=file, record=record)
                yield batch
            return
        except _Ended:
            task = _past(task, reader, killed)
        finally:
            reader.close()


def _past(task: Task, reader: "_Child", killed: set[str]) -> Task:
    """The task for the next reader, with what the last one died of."""
    status = -reader.close()
    file, record, is_extracting = reader.place()
    place = f"{file}:{record}"
    name = signal.Signals(status).name if status in set(signal.Signals) else f"exit code {-status}"
    if status == signal.SIGKILL and place not in killed:
        killed.add(place)  # by the kernel, out of memory, or by a hand: the record has a second chance
        return task
    if is_extracting and status == signal.SIGPROF:
        reason = ("timeout", f"no text after {task.timeout_s:g} s of CPU time")
    elif is_extracting and status in (*_CRASHES, signal.SIGKILL):
        reason = ("crash", f"the extractor ended by {name}")
    elif status in _CRASHES:
        reason = ("unreadable", f"the archive reader ended by {name}{LEFT_OUT}")
    else:
        reason = ("", "")
    if not any(reason) or task.failed.get(place, ("",))[0] == reason[0]:  # of the same again: it wasn't passed by
        address = task.files[min(file, len(task.files) - 1)][1]
        raise errors.SourceFailed(f"{address}: its reader ended by {name} at record {record}; run the job again")
    return replace(task, failed={**task.failed, place: reason})


class _Ended(Exception):
    """The reader's pipe closed before its last frame."""


class _Child:
    """A reader's process, its pipe and the memory where it writes its place."""

    def __init__(self, task: Task) -> None:
        self._memory = os.memfd_create("lakeloom-place")
        os.ftruncate(self._memory, PLACE.size)
        self._place = mmap.mmap(self._memory, PLACE.size)
        command = [sys.executable, "-m", "lakeloom.lakehouse.reader", str(self._memory)]
        # The child must import lakeloom as this process does, also from a zip that spark-submit shipped.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, pass_fds=(self._memory,)
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101 (asked for above)
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        with suppress(BrokenPipeError), self._stdin:  # of one that died at once: frames() finds it ended
            self._stdin.write(task.to_json().encode())

    def frames(self) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """Each batch, and the place after it. Raises _Ended, or the error that the reader reports."""
        while True:
            kind, file, record, num_bytes = FRAME.unpack(self._exactly(FRAME.size))
            content = self._exactly(num_bytes)
            if kind == END:
                return
            if kind != BATCH:
                raise _error(content)
            yield file, record, pa.ipc.read_record_batch(pa.py_buffer(content), SCHEMA)

    def _exactly(self, num_bytes: int) -> bytes:
        data = self._stdout.read(num_bytes)
        if len(data) < num_bytes:
            raise _Ended
        return data

    def place(self) -> tuple[int, int, bool]:
        """File and record number, and whether that record's text was being extracted."""
        file, record, is_extracting = PLACE.unpack_from(self._place)
        return file, record, is_extracting

    def close(self) -> int:
        """End the process; its exit code (a signal's number, negative)."""
        if self._process.returncode is None:
            # A reader that closed its pipe is at its end already, and its own status is what counts.
            try:
                self._process.wait(0.2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._stdout.close()
            os.close(self._memory)
        return self._process.returncode


def _error(content: bytes) -> errors.LakeloomError:
    import json

    name, text = json.loads(content)
    kind = getattr(errors, name, errors.LakeloomError)
    assert issubclass(kind, errors.LakeloomError)  # noqa: S101 (the reader sends no other)
    return kind(text)
