"""Publishing to a Hugging Face Hub, played in this process."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import pytest
from fakes import TOKEN, FakeHub, Faults, serving
from release_folder import TEXTS, contents, make_release, texts

from miso_gen.errors import InputError, MisoGenError, WorkError
from miso_gen.release.publication import read_publication
from miso_gen.release.publishing import publish
from miso_gen.release.publishing.hub import FILE_SIZE, FILES, FOLDER_FILES, Hub
from miso_gen.release.publishing.interfaces import Release, Silent
from miso_gen.store import open_target

pytest.importorskip("huggingface_hub")

# huggingface_hub 2.4 calls its own HTTP client in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import _http, close_session

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a Hub without Xet is no Hub to a client with it
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda _: None))  # the client has waits of its own
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    close_session()
    with serving(FakeHub()) as server:
        yield server
    close_session()


@pytest.fixture
def release(tmp_path):
    make_release(tmp_path / "toy")
    return tmp_path / "toy"


def send(folder, server, waits=None, **options):
    sleep = (waits if waits is not None else []).append
    return publish(folder, "hf:toys/toy", **{"describe": texts, "base_url": server.url, "sleep": sleep, **options})


def assert_published(server, folder, version):
    assert server.at(version).keys() - {".gitattributes"} == contents(folder).keys()
    assert {path: data for path, data in server.at(version).items() if path != ".gitattributes"} == contents(folder)


def test_a_release_becomes_a_tag(hub, release):
    waits = []
    result = send(release, hub, waits)
    assert (list(hub.tags), waits, result.already) == (["1.0.0"], [], False)
    assert_published(hub, release, "1.0.0")
    publication = result.publication
    assert publication.files == f"{hub.url}/datasets/toys/toy/resolve/1.0.0"
    assert publication.url == f"{hub.url}/datasets/toys/toy/tree/1.0.0"
    assert (publication.target, publication.doi) == ("hf", None)
    record = read_publication(open_target(release))
    assert record.publications == (publication,)
    assert sorted(record.files) == sorted(TEXTS)
    assert publication.files.encode() in (release / "README.md").read_bytes()
    assert set(hub.sent.values()) == {1}
    assert hub.calls()[-1] == ("POST", f"/api/datasets/toys/toy/tag/{hub.tags['1.0.0']}")


def test_the_endpoint_of_the_environment(hub, release, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.url}/")
    assert send(release, hub, base_url=None).publication.url.startswith(hub.url)


def test_files_as_the_client_itself_reads_them(hub, release, tmp_path):
    """What huggingface_hub says of the repository is what was published."""
    from huggingface_hub import HfApi

    send(release, hub)
    api = HfApi(endpoint=hub.url, token=TOKEN)
    tree = api.list_repo_tree("toys/toy", repo_type="dataset", revision="1.0.0", recursive=True)
    assert {entry.path: entry.size for entry in tree if entry.path != ".gitattributes"} == {
        path: len(data) for path, data in contents(release).items()
    }


def test_publishing_again_sends_nothing(hub, release):
    send(release, hub)
    before, sent, asked = contents(release), dict(hub.sent), len(hub.requests)
    result = send(release, hub)
    assert result.already
    assert (contents(release), dict(hub.sent), len(hub.commits)) == (before, sent, 2)
    assert {method for method, _ in hub.calls()[asked:]} == {"POST", "GET"}
    assert [path for method, path in hub.calls()[asked:] if method == "POST"] == ["/api/repos/create"]


def test_a_version_with_other_files_is_refused(hub, release, tmp_path):
    send(release, hub)
    make_release(tmp_path / "again", seed=3)
    with pytest.raises(InputError, match=r"version 1\.0\.0 of toy must be new.*with other files .*raise the version"):
        send(tmp_path / "again", hub)
    assert_published(hub, release, "1.0.0")
    assert not (tmp_path / "again" / "publication.json").exists()


def test_a_dry_run_asks_nobody_and_tells_every_call(hub, release, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    before = contents(release)
    result = send(release, hub, dry_run=True)
    assert (hub.requests, contents(release)) == ([], before)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    send(release, hub)
    # Which files go to LFS, and where, the Hub says.
    made = [(method, re.sub(r"[0-9a-f]{40}", "{commit}", path)) for method, path in hub.calls() if not path.startswith("/lfs/")]
    told = [(call.method, call.url.removeprefix(hub.url), call.when) for call in result.calls if not call.url.startswith("LFS")]
    assert [call for call in made if call not in [known[:2] for known in told]] == []
    surely = [call[:2] for call in told if not call[2]]
    assert [call for call in made if call in surely] == surely
    lfs = {call.url.removeprefix("LFS object of "): call.size for call in result.calls if call.url.startswith("LFS")}
    assert lfs == {path: len(data) for path, data in contents(release).items()}


@pytest.mark.parametrize("seed", range(12))
def test_connections_that_break_anywhere(hub, release, seed):
    """A file of LFS whose answer is lost is sent again by the client itself, so that alone is left out."""
    waits = []
    lost = Faults(seed, limit=4, only=lambda _, path: not path.startswith("/lfs/"))
    early = Faults(seed, limit=8, kinds=("cut", "body", 500, 503, 429))

    def faults(method, path):
        faults.rng = early.rng
        return lost(method, path) or early(method, path)

    hub.faults = faults
    for _ in range(12):
        try:
            send(release, hub, waits)
        except WorkError:
            continue
        break
    else:
        pytest.fail("never published")
    assert list(hub.tags) == ["1.0.0"]
    assert_published(hub, release, "1.0.0")
    assert set(hub.sent.values()) == {1}
    assert all(0 < wait <= 900 for wait in waits)


def test_no_tag_before_all_files(hub, release):
    hub.faults = lambda method, path: 503 if "/tag/" in path else None
    with pytest.raises(WorkError, match="6 times"):
        send(release, hub)
    assert hub.tags == {}
    assert not (release / "publication.json").exists()
    assert (release / "README.md").read_bytes() == texts(())["README.md"]
    hub.faults = lambda *_: None
    send(release, hub)
    assert_published(hub, release, "1.0.0")
    assert set(hub.sent.values()) == {1}


def test_a_hub_that_loses_a_file_is_found_out_before_the_tag(hub, release):
    original = hub.commit

    def commit(files):
        return original({path: data for path, data in files.items() if path != "index.parquet"})

    hub.commit = commit
    with pytest.raises(WorkError, match=r"index\.parquet.*Nothing was published"):
        send(release, hub)
    assert hub.tags == {}


def test_files_that_were_committed_and_not_tagged_are_replaced(hub, release):
    hub.faults = lambda method, path: 503 if "/tag/" in path else None
    with pytest.raises(WorkError):
        send(release, hub)
    hub.faults = lambda *_: None
    make_release(release, seed=9)
    send(release, hub)
    assert_published(hub, release, "1.0.0")


def test_the_next_version(hub, release, tmp_path):
    make_release(tmp_path / "first", old_ozx=b"old")
    send(tmp_path / "first", hub)
    hub.commit({**hub.at("main"), "notes.txt": b"by hand"})
    later = tmp_path / "later"
    make_release(later, version="1.1.0", new_ozx=b"new")
    hub.sent.clear()
    send(later, hub)
    assert sorted(hub.tags) == ["1.0.0", "1.1.0"]
    assert_published(hub, tmp_path / "first", "1.0.0")
    assert hub.at("1.1.0").keys() - contents(later).keys() == {".gitattributes", "notes.txt"}
    assert "old.ozx" not in hub.at("1.1.0")
    assert len(hub.sent) == 1 + len(TEXTS) + 2, "the new file, the texts, the record and the manifest"


@pytest.mark.parametrize("there", [{"model.bin": b"x"}, {"manifest.json": b'{"name": "other"}'}, {"manifest.json": b"?"}])
def test_a_repository_of_something_else_is_left_alone(hub, release, there):
    hub.repository = "toys/toy"
    hub.commit({".gitattributes": b"", **there})
    with pytest.raises(InputError, match="must be new or hold toy, got one that holds"):
        send(release, hub)
    assert len(hub.commits) == 1
    assert hub.sent == {}


@pytest.mark.parametrize("status", [401, 403, 400, 500])
def test_no_error_shows_the_token(hub, release, status, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    hub.always = status
    with pytest.raises(MisoGenError) as caught:
        send(release, hub)
    if status in (401, 403):
        assert re.match(rf"HF_TOKEN must be a token that may write to .*, got the answer {status}", str(caught.value))
    seen = "".join(capfd.readouterr()) + caplog.text + repr(caught.value)
    assert TOKEN not in seen
    assert TOKEN not in str(caught.getrepr(style="long", chain=True))
    assert not [path for path, data in contents(release).items() if TOKEN.encode() in data]


def test_no_token(hub, release, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="HF_TOKEN must be set"):
        send(release, hub)
    assert hub.requests == []


def test_limits(tmp_path):
    assert (FILES, FOLDER_FILES, FILE_SIZE) == (100_000, 10_000, 20_000_000_000)
    publisher = Hub(Release(open_target(tmp_path), "toy", "1", ""), "a/b", "https://x", lambda _: None, Silent())
    publisher.check({"a": 20_000_000_000, **{f"b/{k}": 0 for k in range(10_000)}})
    wrong = [
        ({"a": 20_000_000_001}, "a must have at most 20000000000 bytes"),
        ({f"b/{k}": 0 for k in range(10_001)}, "folder 'b' must have at most 10000 files"),
        ({f"{k % 50}/{k}": 0 for k in range(100_001)}, "at most 100000 files for the Hub, got 100001"),
    ]
    for sizes, message in wrong:
        with pytest.raises(InputError, match=message):
            publisher.check(sizes)
