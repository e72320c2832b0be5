"""Reads the archives of one task in a process of its own: `python -m lakeloom.lakehouse.reader`, started by guard.py.

Native code parses foreign bytes here, and no signal handler or thread can interrupt it (50,000 nested <div> took
resiliparse 28 s). So the kernel ends this process when a page has used up its CPU time (SIGPROF), guard.py learns from
the shared memory which page it was, and starts another reader that passes it by.

stdin: the Task as JSON. stdout: frames (FRAME and its bytes): batches, then the end or an error.
"""

import json
import mmap
import os
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.abc import MetaPathFinder

from lakeloom.lakehouse import jsonl
from lakeloom.lakehouse.errors import PASSED_ON, LakeloomError
from lakeloom.lakehouse.jsonl import is_jsonl
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.rows import Batch, file_id, record_row, tally
from lakeloom.lakehouse.streams import GONE, open_stream
from lakeloom.lakehouse.warc import BadRecord, ExtractionFailed, Limits, OtherRecord, Row, records

FRAME = struct.Struct("<BIQQ")  # kind, file and record number where the next reader would begin, bytes that follow
BATCH, END, ERROR = range(3)
LEFT_OUT = "; the rest of the file was left out"
PLACE = struct.Struct("<Iq?")  # file number, record number, whether its text is being extracted


@dataclass(frozen=True)
class Task:
    """Files to read as (path in the pool, address, bytes); rows before (`file`, `record`) were delivered before.

    `failed` has the records that ended a reader, as "file:record" -> [reason, detail]; reason `unreadable` means
    that the archive could not be read from there on.
    """

    pool: str
    files: list[tuple[str, str, int]]
    limits: Limits
    timeout_s: float
    file: int = 0
    record: int = 0
    failed: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def to_json(self) -> str:
        """For the reader's stdin."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """As to_json wrote it."""
        given = json.loads(text)
        return cls(**{**given, "limits": Limits(**given["limits"])})


class Reader:
    """One pass over the task's files; its place in them is written to `shared` (PLACE) while it goes."""

    def __init__(self, task: Task, shared: mmap.mmap | bytearray) -> None:
        self.task, self.shared = task, shared
        self.file, self.record = task.file, 0
        self.batch = Batch()

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Kind, place and content of each frame."""
        while self.file < len(self.task.files):
            yield from self._file(*self.task.files[self.file])
            self.file, self.record = self.file + 1, 0
        yield self._full()
        yield END, self.file, 0, b""

    def _full(self) -> tuple[int, int, int, bytes]:
        return BATCH, self.file, self.record, self.batch.take().serialize().to_pybytes()

    def _file(self, path: str, address: str, size: int) -> Iterator[tuple[int, int, int, bytes]]:
        identifier, started = file_id(self.task.pool, path, size), time.process_time()
        others, last = Counter[str](), (-1, 0)
        delivered = self.task.record if self.file == self.task.file else 0
        for row in self._rows(address):
            if isinstance(row, OtherRecord):
                others[row.kind] += 1
            else:
                # Records of one compressed member share its offset; their count in it keeps them apart.
                last = (row.offset or 0, last[1] + 1 if row.offset == last[0] else 0)
                if self.record >= delivered:
                    self.batch.add(record_row(row, self.task.pool, identifier, path, last[1]))
            self.record += 1
            if self.batch.is_full:
                yield self._full()
        for kind, count in sorted(others.items()):
            self.batch.add(tally(identifier, path, "other", f"type_{kind}", count))
        spent = time.process_time() - started
        self.batch.add({**tally(identifier, path, "file", "", self.record), "cpu_s": spent})

    def _rows(self, address: str) -> Iterator[Row]:
        """The file's rows, to the place where an earlier reader, or this one, could not go on."""
        offset, archive = 0, self._archive(address)
        while True:
            self._note(False)
            if (failed := self._failed()) and failed[0] == "unreadable":
                yield BadRecord(offset, "parse", *failed, 0)
                return
            try:
                row = next(archive, None)
            except PASSED_ON:
                raise
            except BaseException as error:  # noqa: BLE001 errors.PASSED_ON says why
                detail = f"{type(error).__name__}: {error}"[:200] + LEFT_OUT
                yield BadRecord(offset, "parse", "unreadable", detail, 0)
                return
            if row is None:
                return
            yield row
            offset = row.offset or 0 if not isinstance(row, OtherRecord) else offset

    def _archive(self, address: str) -> Iterator[Row]:
        try:
            stream = open_stream(address)
        except GONE as error:
            yield BadRecord(None, "open", type(error).__name__, str(error)[:200], 0)
            return
        with stream:
            if is_jsonl(address):
                yield from jsonl.records(stream, address, self.task.limits)
            else:
                yield from records(stream, stream.seek(0, os.SEEK_END), self._extract, self.task.limits)

    def _extract(self, body: bytes) -> tuple[str, str]:
        """Text and charset, within the page's CPU time; nothing for a page that was delivered before."""
        if self.file == self.task.file and self.record < self.task.record:
            return "", ""
        if failed := self._failed():
            raise ExtractionFailed(*failed)
        self._note(True)
        signal.setitimer(signal.ITIMER_PROF, self.task.timeout_s)
        try:
            return main_text(body)
        except PASSED_ON:
            raise
        except BaseException as error:
            raise ExtractionFailed("error", f"{type(error).__name__}: {error}") from error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._note(False)

    def _failed(self) -> tuple[str, str] | None:
        return self.task.failed.get(f"{self.file}:{self.record}")

    def _note(self, is_extracting: bool) -> None:
        PLACE.pack_into(self.shared, 0, self.file, self.record, is_extracting)


class _NoPandas(MetaPathFinder):
    """pyarrow asks of every list whether pandas made it, and imports pandas for that: half a CPU second a task."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Refuse pandas, leave the rest to others."""
        if fullname == "pandas":
            raise ImportError("pandas is kept out of a reader of archives", name=fullname)


def main(memory: int) -> None:
    """Serve one task; `memory` is the descriptor of the memory shared with the guard."""
    sys.meta_path.insert(0, _NoPandas())
    task = Task.from_json(sys.stdin.read())
    out = sys.stdout.buffer
    reader = Reader(task, mmap.mmap(memory, PLACE.size))
    try:
        for kind, file, record, content in reader.frames():
            out.write(FRAME.pack(kind, file, record, len(content)))
            out.write(content)
            out.flush()
    except LakeloomError as error:
        content = json.dumps([type(error).__name__, str(error)]).encode()
        out.write(FRAME.pack(ERROR, reader.file, reader.record, len(content)) + content)
    except BrokenPipeError:  # the task was cancelled
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
