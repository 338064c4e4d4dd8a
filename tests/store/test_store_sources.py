"""Where the files of a release come from."""

from __future__ import annotations

import gzip
import ssl
import zipfile
from email.message import Message
from http.client import HTTPResponse
from urllib.error import URLError

import fsspec
import pytest
from release_server import serving

from miso_gen.errors import InputError, MissingExtraError, StoreError
from miso_gen.store import open_target
from miso_gen.store.sources import TargetSource, open_source
from miso_gen.store.streams import ClosedError, TransferError, origin, shown
from miso_gen.store.web import HubSource, WebSource, ZenodoSource, _Redirects, _wait

DATA = bytes(range(256)) * 40
TAG = '"first"'


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """No proxy, no token, no other Hub of whoever runs the tests."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def web():
    with serving({"a/b.bin": DATA}) as server:
        server.etag = lambda path, data: TAG
        yield server


def everything(stream):
    with stream:
        data = b""
        while piece := stream.read(3000):
            data += piece
            if stream.total is not None and stream.start + len(data) >= stream.total:
                break
        return data


@pytest.fixture
def bucket():
    """Options of a local S3 whose bucket ``sources`` has the file."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "a", "secret": "b", "client_kwargs": {"region_name": "eu-west-1"}}
    fs = s3fs.S3FileSystem(**options)
    fs.mkdir("sources")
    fs.pipe_file("sources/r/a/b.bin", DATA)
    yield options
    server.stop()


@pytest.fixture(params=["web", "folder", "memory", "s3", "zip"])
def source(request, web, tmp_path):
    """The file ``a/b.bin``, wherever it is."""
    if request.param == "web":
        return open_source(web.url)
    if request.param == "folder":
        (tmp_path / "r/a").mkdir(parents=True)
        (tmp_path / "r/a/b.bin").write_bytes(DATA)
        return open_source(tmp_path / "r")
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "r.zip", "w") as file:
            file.writestr("a/b.bin", DATA)
            file.writestr("images.zarr/zarr.json", b"{}")
        return open_source(str(tmp_path / "r.zip"))
    if request.param == "memory":
        fs = fsspec.filesystem("memory")
        fs.store.clear()
        fs.pipe_file("/r/a/b.bin", DATA)
        return open_source("memory://r")
    return open_source("s3://sources/r", options=request.getfixturevalue("bucket"))


def test_every_source_gives_the_file_from_any_byte(source):
    for start in (0, 1, 5000, len(DATA) - 1):
        stream = source.open("a/b.bin", start, None)
        assert (stream.start, stream.total) == (start, len(DATA))
        assert everything(stream) == DATA[start:]
    for start in (len(DATA) + 1, len(DATA) * 9):  # what is there is no part of this file
        assert everything(source.open("a/b.bin", start, None)) == DATA
    assert source.open("a/b.bin", 7, '"another"').start == 0
    with pytest.raises(FileNotFoundError):
        source.open("a/c.bin", 0, None)
    assert source.describe("a/b.bin").endswith("/a/b.bin")
    assert source.describe("") in repr(source)


# --- web servers ------------------------------------------------------------------------------------------------------


def test_what_is_asked_for(web):
    everything(WebSource(f"{web.url}/a/").open("b.bin", 0, None))
    everything(WebSource(f"{web.url}/a").open("b.bin", 9, TAG))
    (_, plain), (_, ranged) = web.asked
    assert (plain["Range"], plain["If-Range"], plain["Accept-Encoding"]) == (None, None, "identity")
    assert (ranged["Range"], ranged["If-Range"], ranged["Accept-Encoding"]) == ("bytes=9-", TAG, "identity")
    assert plain["User-Agent"] == "miso-gen"


@pytest.mark.parametrize("if_range", [True, False])
def test_another_tag_begins_anew(web, if_range):
    web.if_range = if_range
    stream = WebSource(web.url).open("a/b.bin", 9, '"old"')
    assert (stream.start, stream.tag) == (0, TAG)
    assert everything(stream) == DATA
    assert web.starts("a/b.bin") == ([9] if if_range else [9, 0])


def test_weak_tags_are_none(web):
    web.etag = lambda path, data: 'W/"a"'
    assert WebSource(web.url).open("a/b.bin", 0, None).tag is None


def test_no_ranges(web):
    web.ranges = False
    assert WebSource(web.url).open("a/b.bin", 9, TAG).start == 0


@pytest.mark.parametrize(
    "wrong", ["bytes 8-10239/10240", "bytes 0-10239/10240", "bytes 10-10239/10240", "9-10239", "bytes */10240", "x"]
)
def test_a_piece_from_elsewhere_is_not_taken(web, wrong):
    web.content_range = wrong
    stream = WebSource(web.url).open("a/b.bin", 9, TAG)
    assert stream.start == 0
    assert everything(stream) == DATA


def test_a_piece_that_nobody_asked_for(web):
    web.answers["a/b.bin"] = [(206, {"Content-Range": "bytes 5-9/10240"}, b"abcde")] * 2
    with pytest.raises(TransferError, match="a piece instead of the file"):
        WebSource(web.url).open("a/b.bin", 0, None)


@pytest.mark.parametrize("form", ["chunked", "close"])
def test_no_length(web, form):
    web.length = form
    stream = WebSource(web.url).open("a/b.bin", 0, None)
    assert stream.total is None
    assert everything(stream) == DATA


def test_a_chunked_answer_that_is_cut(web):
    web.length, web.cut = "chunked", lambda path, data: 4500
    stream = WebSource(web.url).open("a/b.bin", 0, None)
    read, error = b"", None
    while error is None:
        try:
            read += stream.read(1000)
        except TransferError as caught:
            error = str(caught)
    assert (read, error) == (DATA[:4500], "IncompleteRead")


def test_encodings_are_not_undone(web):
    packed = gzip.compress(DATA)
    web.files["a/b.bin"], web.headers = packed, {"Content-Encoding": "gzip"}
    stream = WebSource(web.url).open("a/b.bin", 0, None)
    assert everything(stream) == packed
    assert "Content-Encoding gzip" in stream.note


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_answers_that_may_change(web, status):
    web.answers["a/b.bin"] = [(status, {"Retry-After": "7"}, b"secret")]
    with pytest.raises(TransferError, match=f"^the answer {status}$") as caught:
        WebSource(web.url).open("a/b.bin", 0, None)
    assert caught.value.wait == 7


@pytest.mark.parametrize(
    ("after", "wait"),
    [
        (None, None),
        ("soon", None),
        ("-1", None),
        ("", None),
        ("0", 0),
        ("12", 12),
        ("99999", 300),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:27:30 GMT", 0),
        ("Wed, 21 Oct 2025 07:28:30 GMT", 300),
        ("Wed, 21 Oct 2015 07:28:30", None),
    ],
)
def test_how_long_to_wait(after, wait):
    headers = Message()
    headers["Date"] = "Wed, 21 Oct 2015 07:28:00 GMT"
    if after is not None:
        headers["Retry-After"] = after
    assert _wait(headers) == wait


@pytest.mark.parametrize(
    ("status", "kind"), [(401, ClosedError), (403, ClosedError), (404, FileNotFoundError), (410, FileNotFoundError)]
)
def test_answers_that_stay(web, status, kind):
    web.answers["a/b.bin"] = [(status, {}, b"")]
    with pytest.raises(kind, match=r"/a/b\.bin"):
        WebSource(web.url).open("a/b.bin", 0, None)


@pytest.mark.parametrize("status", [204, 304, 400, 418])
def test_other_answers(web, status):
    web.answers["a/b.bin"] = [(status, {}, b"")]
    with pytest.raises(StoreError, match=f"must be a file, got the answer {status}"):
        WebSource(web.url).open("a/b.bin", 0, None)


def test_no_server():
    with serving() as server:
        pass
    with pytest.raises(TransferError, match="ConnectionRefusedError"):
        WebSource(server.url).open("a", 0, None)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_server_that_is_another(monkeypatch, wrapped):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    source = WebSource("https://host/a")

    def refuse(*_, **__):
        raise URLError(error) if wrapped else error

    monkeypatch.setattr(source._opener, "open", refuse)
    with pytest.raises(StoreError, match=r"server of https://host/a/b must have a certificate that this machine trusts"):
        source.open("b", 0, None)


def test_an_address_with_a_space():
    with pytest.raises(StoreError, match=r"must be a valid URL, got InvalidURL"):
        WebSource("http://127.0.0.1/a b").open("c", 0, None)


def test_paths_are_quoted_and_queries_sent_along(web):
    web.files["a/é #?%.bin"] = b"x"
    web.files["a/%C3%A9%20%23%3F%25.bin"] = DATA
    source = WebSource(f"{web.url}/a?sig=secret")
    assert everything(source.open("é #?%.bin", 0, None)) == DATA
    assert "secret" not in source.describe("é") + source.describe("") + repr(source)
    asked = []
    source._opener.open = lambda request, timeout: asked.append(request.full_url) or (_ for _ in ()).throw(OSError("x"))
    with pytest.raises(TransferError):
        source.open("b", 0, None)
    assert asked == [f"{web.url}/a/b?sig=secret"]


@pytest.mark.parametrize("address", ["http://user:secret@host/a", "http:///a", "https://[::1/a", "http://host:port/a"])
def test_addresses_that_are_none(address):
    with pytest.raises(InputError) as caught:
        open_source(address)
    assert "secret" not in str(caught.value)


def test_options_that_nobody_reads():
    with pytest.raises(InputError, match="must be 'headers', got key, secret"):
        open_source("https://host/a", options={"secret": 1, "key": 2, "headers": {}})


# --- redirections and secrets -----------------------------------------------------------------------------------------


def test_secrets_stay_with_their_server(web):
    options = {"headers": {"Authorization": "Bearer secret", "X-Key": "secret"}}
    with serving({"c": DATA}) as other:
        web.answers["a/b.bin"] = [(302, {"Location": "/here"}, b"")]
        web.answers["here"] = [(307, {"Location": f"{other.url}/c?sig=x"}, b"")]
        stream = open_source(web.url, options=options).open("a/b.bin", 5, None)
        assert everything(stream) == DATA[5:]
        assert [(path, headers["Authorization"], headers["X-Key"]) for path, headers in web.asked] == [
            ("a/b.bin", "Bearer secret", "secret"),
            ("here", "Bearer secret", "secret"),
        ]
        ((_, headers),) = other.asked
        assert not [value for value in headers.values() if "secret" in value]
        assert headers["Range"] == "bytes=5-"


def test_a_redirection_back_does_not_bring_secrets_back(web):
    with serving() as other:
        web.answers["a/b.bin"] = [(302, {"Location": f"{other.url}/c"}, b"")]
        other.answers["c"] = [(302, {"Location": f"{web.url}/a/b.bin"}, b"")]
        source = open_source(web.url, options={"headers": {"X-Key": "secret"}})
        assert everything(source.open("a/b.bin", 0, None)) == DATA
        assert [headers["X-Key"] for _, headers in web.asked] == ["secret", None]


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirections_out_of_the_web(web, place):
    web.answers["a/b.bin"] = [(302, {"Location": place}, b"")]
    with pytest.raises(StoreError):
        WebSource(web.url).open("a/b.bin", 0, None)


def test_https_stays_https():
    from urllib.request import Request

    asked = Request("https://host/a?sig=secret")
    asked.add_unredirected_header("X-Key", "k")
    redirects = _Redirects()
    same = redirects.redirect_request(asked, None, 302, "", {}, "https://host:443/b")
    other = redirects.redirect_request(asked, None, 302, "", {}, "https://host:444/b")
    assert (same.unredirected_hdrs, other.unredirected_hdrs) == ({"X-key": "k"}, {})
    with pytest.raises(StoreError, match="must redirect to https, got http") as caught:
        redirects.redirect_request(asked, None, 302, "", {}, "http://host/b")
    assert "secret" not in str(caught.value)


def test_circles(web):
    web.answers["a/b.bin"] = [(302, {"Location": "/a/b.bin"}, b"")] * 20
    with pytest.raises(StoreError, match="302"):
        WebSource(web.url).open("a/b.bin", 0, None)


def test_a_long_redirection_is_not_read(web, monkeypatch):
    read, original = [], HTTPResponse.read

    def watched(self, *args):
        data = original(self, *args)
        read.append(len(data))
        return data

    monkeypatch.setattr(HTTPResponse, "read", watched)
    web.answers["a/b.bin"] = [(302, {"Location": "/x"}, b"a" * (1 << 22))]
    web.files["x"] = DATA
    assert everything(WebSource(web.url).open("a/b.bin", 0, None)) == DATA
    assert sum(read) == 0  # streams are read by read1


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("https://user:pw@host:8/a/b?sig=1#x", "https://host:8/a/b"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("a/b?c", "a/b?c"),
        ("https://[::1/a?secret", "https://..."),
    ],
)
def test_what_is_shown(address, text):
    assert shown(address) == text


def test_origins():
    assert origin("https://Host/a") == origin("https://host:443/b") != origin("http://host/a")
    assert origin("http://host:8080") != origin("http://host")


# --- Zenodo and the Hub -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("zenodo:123", "https://zenodo.org/api/records/123/files"),
        ("https://zenodo.org/records/123", "https://zenodo.org/api/records/123/files"),
        ("https://zenodo.org/record/123/", "https://zenodo.org/api/records/123/files"),
        ("https://sandbox.zenodo.org/records/123?preview=1#files", "https://sandbox.zenodo.org/api/records/123/files"),
        ("https://host/api/records/123/files", "https://host/api/records/123/files"),
        ("https://host/inveniordm/records/abcde-12345", "https://host/inveniordm/api/records/abcde-12345/files"),
    ],
)
def test_addresses_of_records(text, files):
    source = open_source(text)
    assert isinstance(source, ZenodoSource)
    assert source.describe("imports/a b.npz") == f"{files}/imports--a%20b.npz/content"


def test_a_record(web):
    web.files = {"api/records/5/files/imports--x.npz/content": DATA}
    assert everything(open_source(f"{web.url}/records/5").open("imports/x.npz", 2, None)) == DATA[2:]


@pytest.mark.parametrize(
    "text", ["zenodo:", "zenodo:abc", "zenodo:1/2", "hf:", "hf:name", "hf:a/b/c", "hf:a/b?c", "nonsense://x"]
)
def test_no_source(text):
    with pytest.raises(InputError, match="source must be"):
        open_source(text, "1.0.0")


@pytest.mark.parametrize(
    "text", ["hf:org/name", "https://huggingface.co/datasets/org/name", "https://huggingface.co/datasets/org/name/"]
)
def test_addresses_on_the_hub(text, monkeypatch):
    source = open_source(text, "1.0.0+5")
    assert isinstance(source, HubSource)
    assert source.describe("a/b") == "https://huggingface.co/datasets/org/name/resolve/1.0.0%2B5/a/b"
    with pytest.raises(InputError, match="Give NAME@VERSION"):
        open_source(text)
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror/x/")
    assert open_source(text, "1.0.0").describe("") == "http://mirror/x/datasets/org/name/resolve/1.0.0"


def test_a_revision_in_the_address_counts():
    source = open_source("https://huggingface.co/datasets/org/name/tree/2.0.0", "1.0.0")
    assert source.describe("").endswith("/resolve/2.0.0")


def test_the_token_of_the_hub(web, monkeypatch):
    web.files["datasets/o/n/resolve/1.0.0/x"] = DATA
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    source = open_source("hf:o/n", "1.0.0")
    assert everything(source.open("x", 0, None)) == DATA
    assert "secret" not in repr(source) + source.describe("x")
    own = open_source("hf:o/n", "1.0.0", {"headers": {"authorization": "mine"}})
    own.open("x", 0, None).close()
    HubSource(f"{web.url}/datasets/o/n/resolve/1.0.0").open("x", 0, None).close()
    monkeypatch.setenv("HF_ENDPOINT", "https://elsewhere")
    HubSource(f"{web.url}/datasets/o/n/resolve/1.0.0").open("x", 0, None).close()
    open_source(f"{web.url}/datasets/o/n/resolve/1.0.0").open("x", 0, None).close()
    sent = [headers["Authorization"] for _, headers in web.asked]
    assert sent == ["Bearer hf_secret", "mine", "Bearer hf_secret", None, None]


def test_a_private_data_set(web, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    web.answers["datasets/o/n/resolve/1.0.0/x"] = [(401, {}, b"")]
    with pytest.raises(ClosedError, match="HF_TOKEN"):
        open_source("hf:o/n", "1.0.0").open("x", 0, None)


# --- folders and object stores ----------------------------------------------------------------------------------------


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "a").mkdir()
    source = open_source(f"file://{tmp_path}")
    assert isinstance(source, TargetSource)
    with pytest.raises(ClosedError, match="must be a file that can be read"):
        everything(source.open("a", 0, None))


def test_what_a_disk_says_may_change(tmp_path, monkeypatch):
    target = open_target(tmp_path)
    monkeypatch.setattr(target, "open", lambda path: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(TransferError, match="Input/output error"):
        TargetSource(target).open("a", 0, None)


def test_plain_http_needs_no_extra(web, monkeypatch):
    def missing(*_, **__):
        raise ImportError("needs it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    assert everything(open_source(web.url).open("a/b.bin", 0, None)) == DATA
    with pytest.raises(MissingExtraError, match=r"miso-gen\[s3\]"):
        open_source("s3://bucket/x")
