"""An HTTP server on this machine that serves one file, in turn well and badly."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "LyingServer"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)
        self.close_connection = True

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


Answer = Callable[[Handler], None]


class LyingServer(ThreadingHTTPServer):
    """Gives its answers one after the other, and the last one ever after."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        pass  # the client hung up: what the test is about


@contextmanager
def lying_server() -> Iterator[LyingServer]:
    with LyingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def good(body: bytes, etag: str | None = '"1"') -> Answer:
    """Serves ranges, and the whole where If-Range names another file."""

    def answer(request: Handler) -> None:
        tag = {"ETag": etag} if etag else {}
        asked = request.headers.get("Range")
        if asked and request.headers.get("If-Range") in (None, etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                request.head(416, 0, Content_Range=f"bytes */{len(body)}")
                return
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            request.head(206, len(body) - start, Content_Range=span, **tag)
            request.wfile.write(body[start:])
            return
        request.head(200, len(body), **tag)
        request.wfile.write(body)

    return answer


def says(length: int | None, body: bytes, status: int = 200, **headers: str) -> Answer:
    """Says one length and sends what it likes: a cut, or a lie."""

    def answer(request: Handler) -> None:
        request.head(status, length, **headers)
        request.wfile.write(body)

    return answer


def chunked(*chunks: bytes, whole: bool = True) -> Answer:
    def answer(request: Handler) -> None:
        request.head(200, None, Transfer_Encoding="chunked")
        for chunk in chunks:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if whole:
            request.wfile.write(b"0\r\n\r\n")

    return answer


def status(code: int) -> Answer:
    return says(0, b"", code)


def redirects(location: str) -> Answer:
    return says(0, b"", 302, Location=location)


def endless(request: Handler) -> None:
    """Sends without an end."""
    request.head(200, None, Transfer_Encoding="chunked")
    while True:
        request.wfile.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


def hangs(body: bytes, seconds: float = 2) -> Answer:
    """Sends half, and then nothing for a while."""

    def answer(request: Handler) -> None:
        request.head(200, len(body))
        request.wfile.write(body[: len(body) // 2])
        request.wfile.flush()
        time.sleep(seconds)

    return answer


def trickles(request: Handler) -> None:
    """Sends a byte now and then, so that no read of the client ever times out."""
    request.head(200, 1000)
    for _ in range(1000):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.05)


def hangs_up(request: Handler) -> None:
    """Closes without a word."""
