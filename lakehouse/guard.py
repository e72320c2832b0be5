"""Runs the extractor in a process of its own, so that a page that hangs or crashes native code costs one page.

resiliparse is native code: no signal or thread can stop it (50,000 nested <div> took it 28 s).
Protocol on the child's stdin and stdout: a length (4 bytes, little-endian) and that many bytes of the page; back come
a status byte (0 done, 1 failed), two lengths, the child's CPU seconds so far, the charset's name, the text (or error).
"""

import os
import select
import struct
import subprocess
import sys
import time
from typing import IO, BinaryIO

_REQUEST, _ANSWER = struct.Struct("<I"), struct.Struct("<BIId")
_BLOCK = 1 << 20


class ExtractionFailed(Exception):
    """The page gave no text: `reason` is timeout, crash or error."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Guard:
    """`main_text` with a time limit. One process, started at first use and again after one that had to be killed."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.cpu_s = 0.0  # of the child that runs now
        self._process: subprocess.Popen[bytes] | None = None

    def main_text(self, body: bytes) -> tuple[str, str]:
        """Text and charset of a page; ExtractionFailed where the child is late, dies or raises."""
        process = self._process or self._start()
        deadline = time.monotonic() + self.timeout_s
        try:
            self._send(process, _REQUEST.pack(len(body)) + body, deadline)
            head = self._receive(process, _ANSWER.size, deadline)
            failed, num_charset, num_text, self.cpu_s = _ANSWER.unpack(head)
            answer = self._receive(process, num_charset + num_text, deadline)
        except TimeoutError:
            self.close()
            raise ExtractionFailed("timeout", f"no text after {self.timeout_s:g} s") from None
        except (BrokenPipeError, EOFError):
            status = process.wait()
            self.close()
            raise ExtractionFailed("crash", f"the extractor ended with status {status}") from None
        charset, text = answer[:num_charset].decode(), answer[num_charset:].decode()
        if failed:
            raise ExtractionFailed("error", text)
        return text, charset

    def close(self) -> None:
        """End the child; the next call starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lakeloom.lakehouse.guard"]
        # The child must import lakeloom as this process does, also from a zip that spark-submit shipped.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        os.set_blocking(_fd(self._process.stdin), False)
        # The first page also pays for the child's imports; they are not the page's fault.
        self._receive(self._process, 1, time.monotonic() + 60)
        return self._process

    def _send(self, process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
        fd, view = _fd(process.stdin), memoryview(data)
        while view:
            _, ready, _ = select.select([], [fd], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            view = view[os.write(fd, view[:_BLOCK]) :]

    def _receive(self, process: subprocess.Popen[bytes], num_bytes: int, deadline: float) -> bytes:
        fd, parts = _fd(process.stdout), list[bytes]()
        while num_bytes:
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(fd, min(num_bytes, _BLOCK))
            if not part:
                raise EOFError
            parts.append(part)
            num_bytes -= len(part)
        return b"".join(parts)


def _fd(pipe: IO[bytes] | None) -> int:
    assert pipe is not None  # noqa: S101 (both pipes are asked for in _start)
    return pipe.fileno()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """The child's loop; ends when its parent closes the pipe."""
    from lakeloom.lakehouse.markup import main_text

    answers.write(b"\0")
    answers.flush()
    while len(head := requests.read(_REQUEST.size)) == _REQUEST.size:
        body = requests.read(_REQUEST.unpack(head)[0])
        try:
            failed, (text, charset) = 0, main_text(body)
        except Exception as error:  # noqa: BLE001 (whatever the native code raises belongs to this page alone)
            failed, text, charset = 1, f"{type(error).__name__}: {error}", ""
        name, content = charset.encode(), text.encode("utf-8", "replace")
        answers.write(_ANSWER.pack(failed, len(name), len(content), time.process_time()) + name + content)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
