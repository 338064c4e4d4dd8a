"""A web server in this process with the files of a release, and every way in which servers misbehave."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ReleaseServer(ThreadingHTTPServer):
    """Hands out ``files`` (path -> bytes), by ranges, and notes every request as (path, headers).

    Attributes:
        ranges: Whether ranges are answered.
        length: ``plain`` (Content-Length), ``chunked``, or ``close`` (the end of the connection).
        etag: What is the ETag of a path and its bytes; None for none.
        if_range: Whether If-Range is heeded.
        cut: Called with the path and the bytes about to be sent; how many go out before the connection is cut, None for all.
        answers: Answers to come, by path, before the real one: (status, headers, body).
        content_range: Written over the right one, if not None.
        headers: Added to every answer with a body.
    """

    daemon_threads = True

    def __init__(self, files=()):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.asked, self.sent = dict(files), [], []
        self.ranges = self.if_range = True
        self.length, self.content_range = "plain", None
        self.etag = lambda path, data: f'"{sha256(data).hexdigest()[:16]}"'
        self.cut = lambda path, data: None
        self.answers, self.headers = {}, {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A reader that hangs up is no trouble."""

    def starts(self, path):
        """Where the requests for a path began."""
        return [int((headers.get("Range") or "bytes=0-")[6:-1]) for asked, headers in self.asked if asked == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def do_GET(self):
        server, path = self.server, self.path.partition("?")[0].lstrip("/")
        server.asked.append((path, self.headers))
        queued = server.answers.get(path)
        if queued:
            status, headers, body = queued.pop(0)
            return self.send(status, headers, body)
        if path not in server.files:
            return self.send(404, {}, b"no such file")
        data = server.files[path]
        tag = server.etag(path, data)
        headers = dict(server.headers, **({"ETag": tag} if tag else {}))
        asked, status, start = self.headers.get("Range"), 200, 0
        condition = self.headers.get("If-Range")
        if asked and server.ranges and not (server.if_range and condition is not None and condition != tag):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(data):
                return self.send(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
            status = 206
            headers["Content-Range"] = server.content_range or f"bytes {start}-{len(data) - 1}/{len(data)}"
        data = data[start:]
        return self.send(status, headers, data, server.cut(path, data))

    def send(self, status, headers, body, cut=None):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        form = self.server.length
        if form == "plain":
            self.send_header("Content-Length", str(len(body)))
        elif form == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        out = body if cut is None else body[:cut]
        if form == "chunked":
            for at in range(0, len(out), 1000):
                piece = out[at : at + 1000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if cut is None:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(out)
        self.server.sent.append(len(out))
        if cut is not None or form == "close":
            self.close_connection = True

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(files=()):
    """A server that runs as long as the block."""
    server = ReleaseServer(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
