"""Publishing to an InvenioRDM server, played in this process."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from importlib import import_module

import pytest
from fakes import TOKEN, FakeZenodo, Faults, serving
from release_folder import TEXTS, contents, deposit, make_release, texts

from miso_gen.errors import CorruptStoreError, IncompleteStoreError, InputError, MisoGenError, OutputError, StoreError, WorkError
from miso_gen.release.publication import PublicationRecord, read_publication
from miso_gen.release.publishing import publish
from miso_gen.release.publishing.zenodo import FILES, SIZE, Zenodo
from miso_gen.store import open_target

pytest.importorskip("httpx")


@pytest.fixture
def zenodo(monkeypatch):
    monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
    with serving(FakeZenodo()) as server:
        yield server


@pytest.fixture
def release(tmp_path):
    make_release(tmp_path / "toy")
    return tmp_path / "toy"


def send(folder, server, waits=None, **options):
    sleep = (waits if waits is not None else []).append
    arguments = {"describe": texts, "deposit": deposit, "base_url": server.url, "sleep": sleep, **options}
    return publish(folder, "zenodo", **arguments)


def record_of(folder):
    return read_publication(open_target(folder))


def assert_published(server, folder, number):
    """What a reader of the record gets is what lies in the folder."""
    remote, local = server.data(number), contents(folder)
    local.pop("publishing.json", None)
    assert remote == {path.replace("/", "--"): data for path, data in local.items()}
    manifest = json.loads(local["manifest.json"])
    record = json.loads(local["publication.json"])
    for path, entry in manifest["files"].items():
        assert [len(local[path]), hashlib.sha256(local[path]).hexdigest()] == record["files"].get(path, entry)
    assert record["manifest"] == manifest["checksum"]


def test_a_release_becomes_a_record_with_its_doi_in_the_texts(zenodo, release):
    waits = []
    result = send(release, zenodo, waits)
    assert (zenodo.published, waits, result.already, result.calls) == (["1000"], [], False, ())
    publication = result.publication
    assert publication.doi == "10.5281/zenodo.1000"
    assert publication.url == f"{zenodo.url}/records/1000"
    assert publication.files == f"{zenodo.url}/api/records/1000/files"
    assert_published(zenodo, release, "1000")
    assert record_of(release).publications == (publication,)
    assert sorted(record_of(release).files) == sorted(TEXTS)
    assert (release / "README.md").read_bytes() == texts((publication,))["README.md"]
    assert publication.doi.encode() in (release / "README.md").read_bytes()
    assert zenodo.records["1000"]["pids"]["doi"]["identifier"] == publication.doi
    assert publication.url in zenodo.records["1000"]["metadata"]["description"]
    assert set(zenodo.sent.values()) == {1}
    assert result.files == len(zenodo.sent)
    assert result.bytes == sum(map(len, zenodo.data("1000").values()))
    assert not (release / "publishing.json").exists()
    assert not list(release.glob("*.lock*"))


def test_the_order_of_calls(zenodo, release):
    send(release, zenodo)
    calls = [call for call in zenodo.calls() if "/files/" not in call[1]]
    draft = "/api/records/1000/draft"
    assert calls == [
        ("POST", "/api/records"),
        ("POST", f"{draft}/pids/doi"),
        ("PUT", draft),
        ("GET", f"{draft}/files"),
        ("POST", f"{draft}/files"),
        ("GET", f"{draft}/files"),
        ("POST", f"{draft}/actions/publish"),
    ]
    assert zenodo.calls()[-1] == calls[-1]
    assert zenodo.calls()[-3] == ("POST", f"{draft}/files/manifest.json/commit")


def test_a_dry_run_asks_nobody_and_tells_every_call(zenodo, release, monkeypatch):
    monkeypatch.delenv("ZENODO_TOKEN")
    before = contents(release)
    result = send(release, zenodo, dry_run=True)
    assert (zenodo.requests, contents(release), result.publication) == ([], before, None)
    assert not [call for call in result.calls if call.when]
    monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
    send(release, zenodo)
    told = [(call.method, call.url.removeprefix(zenodo.url).replace("{id}", "1000"), call.size) for call in result.calls]
    made = [(request.method, request.path, request.size) for request in zenodo.requests]
    assert [call[:2] for call in told] == [call[:2] for call in made]
    unknown = {"publication.json", *TEXTS}
    for (_, path, size), (_, _, sent) in zip(told, made, strict=True):
        if path.endswith("/content"):
            assert (size is None) == (path.split("/")[-2] in unknown)
            assert size in (None, sent)


def test_a_dry_run_of_an_attempt_that_goes_on(zenodo, release):
    zenodo.required = ("nothing that we give",)
    with pytest.raises(InputError):
        send(release, zenodo)
    zenodo.requests.clear()
    before = contents(release)
    result = send(release, zenodo, dry_run=True)
    assert (zenodo.requests, contents(release)) == ([], before)
    zenodo.required = ()
    send(release, zenodo)
    told = {(call.method, call.url.removeprefix(zenodo.url)) for call in result.calls}
    assert set(zenodo.calls()) <= told
    surely = [(call.method, call.url.removeprefix(zenodo.url)) for call in result.calls if not call.when]
    assert all(call in zenodo.calls() for call in surely)


@pytest.mark.parametrize("seed", range(25))
def test_connections_that_break_anywhere(zenodo, release, seed, monkeypatch):
    waits = []
    zenodo.faults = Faults(seed, limit=12)
    for _ in range(10):
        try:
            send(release, zenodo, waits)
        except WorkError as error:
            assert "what was sent is kept" in str(error)  # noqa: PT017
            assert zenodo.published == [] or (release / "publishing.json").exists()
        else:
            break
    else:
        pytest.fail("never published")
    number = zenodo.published[-1]
    assert len(zenodo.published) == 1
    assert_published(zenodo, release, number)
    assert {key: count for key, count in zenodo.sent.items() if key.startswith(f"{number}/")} == {
        f"{number}/{key}": 1 for key in zenodo.data(number)
    }
    assert all(0 < wait <= 900 for wait in waits)
    if any(request.status == 429 for request in zenodo.requests):
        assert 7.0 in waits
    assert not (release / "publishing.json").exists()
    # Drafts whose number nobody heard of are empty, and not published.
    assert all(record["published"] or not record["files"] for record in zenodo.records.values())


def test_it_gives_up_and_goes_on_later(zenodo, release):
    waits = []
    gone = [False]

    def faults(method, path):
        gone[0] = gone[0] or path.endswith("test-001.ozx/content")
        return "cut" if gone[0] else None

    zenodo.faults = faults
    with pytest.raises(WorkError, match="6 times"):
        send(release, zenodo, waits)
    assert waits[-5:] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert zenodo.published == []
    assert (release / "README.md").read_bytes() == texts(())["README.md"], "nothing is written before it is published"
    assert not (release / "publication.json").exists()
    assert json.loads((release / "publishing.json").read_text()) == {
        "format": 1,
        "target": "zenodo",
        "url": zenodo.url,
        "record": "1000",
    }
    sent = dict(zenodo.sent)
    assert sent
    zenodo.faults = lambda *_: None
    assert send(release, zenodo).publication.doi == "10.5281/zenodo.1000"
    assert set(zenodo.sent.values()) == {1}
    assert len(zenodo.records) == 1


@pytest.mark.parametrize("at", ["publication.json", "README.md", "publishing.json"])
def test_a_stop_after_publishing_is_finished(zenodo, release, at, monkeypatch):
    from miso_gen.store.local import LocalTarget

    write, remove = LocalTarget.write, LocalTarget.remove

    def stop(method):
        def act(self, path, *rest, **options):
            if path == at and zenodo.published:
                raise KeyboardInterrupt
            return method(self, path, *rest, **options)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "write", stop(write))
        patch.setattr(LocalTarget, "remove", stop(remove))
        with pytest.raises(KeyboardInterrupt):
            send(release, zenodo)
    assert zenodo.published == ["1000"]
    before = len(zenodo.requests)
    result = send(release, zenodo)
    assert result.already
    assert {request.method for request in zenodo.requests[before:]} == {"GET"}
    assert_published(zenodo, release, "1000")
    assert not (release / "publishing.json").exists()


def test_a_published_version_is_refused(zenodo, release):
    send(release, zenodo)
    before, asked = contents(release), len(zenodo.requests)
    for dry_run in (False, True):
        with pytest.raises(
            InputError, match=r"version 1\.0\.0 of toy must be new, got one that is published already.*raise the version"
        ):
            send(release, zenodo, dry_run=dry_run)
    assert (contents(release), len(zenodo.requests), zenodo.published) == (before, asked, ["1000"])


def test_a_record_with_other_files_is_refused(zenodo, release, monkeypatch):
    """The attempt stopped after publishing, and the release was made again."""
    with monkeypatch.context() as patch:
        patch.setattr(Zenodo, "finish", lambda self: None)
        send(release, zenodo)
    (release / "publication.json").unlink()
    make_release(release, seed=5)
    with pytest.raises(InputError, match=r"published already, .*with other files.*index\.parquet"):
        send(release, zenodo)
    assert zenodo.published == ["1000"]


def test_files_of_a_draft_are_replaced_and_strays_removed(zenodo, release):
    zenodo.faults = lambda method, path: 503 if path.endswith("/publish") else None
    with pytest.raises(WorkError):
        send(release, zenodo)
    zenodo.faults = lambda *_: None
    files = zenodo.records["1000"]["files"]
    files["index.parquet"] = [b"another", True]
    files["stray"] = [b"stray", True]
    files["half.bin"] = [b"half", False]
    files["recipe.yaml"] = [None, False]
    send(release, zenodo)
    assert_published(zenodo, release, "1000")
    counts = {key.partition("/")[2]: count for key, count in zenodo.sent.items()}
    assert {key for key, count in counts.items() if count == 2} == {"index.parquet", "recipe.yaml"}


def test_a_draft_that_somebody_removed_is_made_again(zenodo, release):
    zenodo.faults = lambda method, path: 503 if path.endswith("/publish") else None
    with pytest.raises(WorkError):
        send(release, zenodo)
    zenodo.faults = lambda *_: None
    zenodo.records["1000"]["published"] = None  # neither a draft nor a record
    zenodo.records["gone"] = zenodo.records.pop("1000")
    assert send(release, zenodo).publication.doi == "10.5281/zenodo.1001"


def test_bytes_that_change_on_the_way_are_not_published(zenodo, release):
    original = zenodo.file

    def file(method, record, key, rest, body):
        return original(method, record, key, rest, body[:-1] + b"?" if key == "index.parquet" else body)

    zenodo.file = file
    with pytest.raises(WorkError, match="other bytes than were sent"):
        send(release, zenodo)
    assert zenodo.published == []
    zenodo.file = original
    send(release, zenodo)
    assert_published(zenodo, release, "1000")


def test_a_server_that_loses_a_file_is_found_out_before_publishing(zenodo, release):
    original = zenodo.listing

    def listing(record):
        record["files"].pop("index.parquet", None) if record["files"].get("manifest.json", [0, 0])[1] else None
        return original(record)

    zenodo.listing = listing
    with pytest.raises(WorkError, match=r"index\.parquet.*Nothing was published"):
        send(release, zenodo)
    assert zenodo.published == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_named_and_not_shown(zenodo, release, status, capfd, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    zenodo.always = status
    with pytest.raises(InputError, match=r"ZENODO_TOKEN must be a token that .* accepts, got the answer") as caught:
        send(release, zenodo)
    assert_no_token(caught, capfd, caplog, release)
    assert len(zenodo.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_no_error_shows_the_token(zenodo, release, status, capfd, caplog):
    """Not even where the server says it back."""
    caplog.set_level(logging.DEBUG)
    zenodo.always = status
    with pytest.raises(MisoGenError) as caught:
        send(release, zenodo)
    assert_no_token(caught, capfd, caplog, release)
    if status == 400:
        assert "***" in str(caught.value)


def test_nothing_shows_the_token_when_all_goes_well(zenodo, release, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    zenodo.faults = Faults(3, limit=9)
    send(release, zenodo)
    assert_no_token(None, capfd, caplog, release)
    assert not [key for key, data in zenodo.data(zenodo.published[0]).items() if TOKEN.encode() in data]


def assert_no_token(caught, capfd, caplog, folder):
    seen = "".join(capfd.readouterr()) + caplog.text
    if caught is not None:
        seen += str(caught.getrepr(style="long", showlocals=True, chain=True))
        seen += repr(caught.value)
    assert TOKEN not in seen
    assert not [path for path, data in contents(folder).items() if TOKEN.encode() in data]


def test_no_token(zenodo, release, monkeypatch):
    monkeypatch.setenv("ZENODO_TOKEN", "  ")
    with pytest.raises(InputError, match=r"ZENODO_TOKEN must be set .*export ZENODO_TOKEN.*keyring set miso-gen ZENODO_TOKEN"):
        send(release, zenodo)
    assert zenodo.requests == []


def test_metadata_that_the_server_refuses_stop_before_the_first_file(zenodo, release):
    with pytest.raises(InputError, match=r"the draft must be accepted .*metadata\.creators"):
        send(release, zenodo, deposit=lambda places: {**deposit(places), "creators": []})
    assert (zenodo.published, dict(zenodo.sent)) == ([], {})
    send(release, zenodo)
    assert zenodo.published == ["1000"]


def test_a_new_version_takes_over_files_that_are_equal(zenodo, release, tmp_path):
    send(release, zenodo)
    later = tmp_path / "later"
    make_release(later, version="1.1.0", test__extra_ozx=b"more")
    (later / "index.parquet").write_bytes((release / "index.parquet").read_bytes())
    previous = record_of(release)
    metadata = lambda places: {**deposit(places), "version": "1.1.0"}  # noqa: E731
    plan = send(later, zenodo, previous=previous, deposit=metadata, dry_run=True)
    zenodo.requests.clear()
    result = send(later, zenodo, previous=previous, deposit=metadata)
    assert zenodo.published == ["1000", "1001"]
    assert zenodo.records["1001"]["parent"] == zenodo.records["1000"]["parent"]
    assert_published(zenodo, later, "1001")
    again = {key.partition("/")[2] for key in zenodo.sent if key.startswith("1001/")}
    assert again == {"manifest.json", "publication.json", "test--extra.ozx", *TEXTS}
    assert result.publication.doi == "10.5281/zenodo.1001"
    assert zenodo.records["1001"]["metadata"]["version"] == "1.1.0"
    told = [(call.method, call.url.removeprefix(zenodo.url).replace("{id}", "1001"), call.when) for call in plan.calls]
    pattern = [(method, re.escape(path).replace(r"\{key\}", ".*"), when) for method, path, when in told]
    for method, path in zenodo.calls():
        assert any(method == known and re.fullmatch(form, path) for known, form, _ in pattern), (method, path)
    assert all((method, path) in zenodo.calls() for method, path, when in told if not when)


@pytest.mark.parametrize("seed", range(8))
def test_a_new_version_over_connections_that_break(zenodo, release, tmp_path, seed):
    send(release, zenodo)
    later = tmp_path / "later"
    make_release(later, version="1.1.0")
    zenodo.faults = Faults(seed, limit=10)
    for _ in range(8):
        try:
            send(later, zenodo, previous=record_of(release))
        except WorkError:
            continue
        break
    assert zenodo.published == ["1000", "1001"]
    assert_published(zenodo, later, "1001")
    assert all(count == 1 for count in zenodo.sent.values())


def test_a_version_that_the_record_has_is_refused(zenodo, release, tmp_path):
    """The folder does not know, as in a fresh copy; the record does."""
    send(release, zenodo)
    again = tmp_path / "again"
    make_release(again, seed=4)
    with pytest.raises(InputError, match=r"version 1\.0\.0 of toy must be new.*records/1000"):
        send(again, zenodo, previous=record_of(release))
    assert len(zenodo.records) == 1


def test_a_previous_version_elsewhere_is_no_previous_version(zenodo, release, tmp_path):
    send(release, zenodo)
    text = (release / "publication.json").read_text().replace(zenodo.url, "https://zenodo.org")
    document = json.loads(text)
    from miso_gen.release.facts import Publication

    previous = PublicationRecord(document["manifest"], tuple(Publication(**place) for place in document["publications"]))
    later = tmp_path / "later"
    make_release(later, version="1.1.0")
    send(later, zenodo, previous=previous)
    assert zenodo.records["1001"]["parent"] != zenodo.records["1000"]["parent"]


def test_a_rehearsal_leaves_the_folder_as_it_is(zenodo, release, monkeypatch):
    monkeypatch.setattr(import_module("miso_gen.release.publishing.publish"), "SANDBOX", zenodo.url)
    before = contents(release)
    result = send(release, zenodo, base_url=None, sandbox=True)
    assert result.publication.doi == "10.5281/zenodo.1000"
    assert contents(release) == before
    assert zenodo.published == ["1000"]


def test_an_attempt_elsewhere_is_not_forgotten(zenodo, release):
    state = {"format": 1, "target": "zenodo", "url": "https://zenodo.org", "record": "7"}
    (release / "publishing.json").write_text(json.dumps(state))
    with pytest.raises(OutputError, match=r"got an attempt at https://zenodo\.org"):
        send(release, zenodo)
    for text in ("{", "[]", '{"format": 2}', json.dumps({**state, "record": "../../x"}), json.dumps({**state, "record": 7})):
        (release / "publishing.json").write_text(text)
        with pytest.raises(OutputError, match="Remove it"):
            send(release, zenodo)
    assert zenodo.requests == []


def test_limits(zenodo, release, tmp_path, monkeypatch):
    monkeypatch.setattr("miso_gen.release.publishing.zenodo.SIZE", 200_000)
    with pytest.raises(InputError, match=r"at most 200000 bytes for Zenodo, got 22\d\d\d\d"):
        send(release, zenodo)
    monkeypatch.undo()
    assert (FILES, SIZE) == (100, 50_000_000_000)
    make_release(tmp_path / "many", **{f"f{number}": b"" for number in range(90)})
    with pytest.raises(InputError, match="at most 100 files for Zenodo, got 101"):
        send(tmp_path / "many", zenodo, dry_run=True)
    make_release(tmp_path / "most", **{f"f{number}": b"" for number in range(89)})
    send(tmp_path / "most", zenodo, dry_run=True)
    make_release(tmp_path / "same", **{"a--b": b"1", "a__b": b"2"})
    with pytest.raises(InputError, match="got two called a--b"):
        send(tmp_path / "same", zenodo, dry_run=True)
    assert zenodo.requests == []


@pytest.mark.parametrize("harm", ["missing", "short", "changed", "text"])
def test_only_a_complete_release_is_published(zenodo, release, harm):
    if harm == "missing":
        (release / "train-001.ozx").unlink()
    elif harm == "short":
        (release / "train-001.ozx").write_bytes((release / "train-001.ozx").read_bytes()[:-1])
    elif harm == "changed":
        data = bytearray((release / "imports/ab12.npz").read_bytes())
        data[7] ^= 1
        (release / "imports/ab12.npz").write_bytes(data)
    else:
        (release / "README.md").write_text("edited")
    with pytest.raises(IncompleteStoreError if harm == "missing" else CorruptStoreError):
        send(release, zenodo)
    assert zenodo.requests == []


def test_what_is_no_release(zenodo, tmp_path):
    with pytest.raises(StoreError, match=r"must be a release, got no manifest\.json"):
        send(tmp_path, zenodo)
    with pytest.raises(InputError, match="must be a folder on this machine"):
        send("s3://bucket/toy", zenodo)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "a//b", "./a", "a\\b", ""])
def test_paths_stay_in_the_folder(zenodo, release, path):
    from release_folder import with_files

    from miso_gen.store.manifest import FileEntry, Manifest

    manifest = Manifest.from_bytes((release / "manifest.json").read_bytes())
    (release / "manifest.json").write_bytes(with_files(manifest, {path: FileEntry(0, "ab")}).to_bytes())
    with pytest.raises(CorruptStoreError, match="must stay in its folder"):
        send(release, zenodo)
    assert zenodo.requests == []


def test_files_that_the_manifest_does_not_list_stay_here(zenodo, release):
    (release / "notes.txt").write_text("mine")
    send(release, zenodo)
    assert "notes.txt" not in zenodo.data("1000")
    assert (release / "notes.txt").read_text() == "mine"


def test_one_attempt_at_a_time(zenodo, release):
    from miso_gen.store.lock import BuildLock

    with BuildLock(open_target(release)), pytest.raises(OutputError, match="must be free to publish"):
        send(release, zenodo)
    assert zenodo.requests == []
    send(release, zenodo)


@pytest.mark.parametrize(
    "url", ["http://zenodo.example", "ftp://x", "https://user:secret@zenodo.org", "zenodo.org", "https://z?x=1"]
)
def test_a_token_goes_nowhere_unsafe(release, url, monkeypatch):
    monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
    with pytest.raises(InputError, match="must be of the form https://host") as caught:
        publish(release, "zenodo", describe=texts, deposit=deposit, base_url=url)
    assert "secret" not in str(caught.value)


def test_redirections_are_not_followed(zenodo, release):
    zenodo.always = 302
    with pytest.raises(InputError, match="got a redirection"):
        send(release, zenodo)
    assert len(zenodo.requests) == 1


def test_arguments_go_with_the_target(release):
    wrong = [
        ("zenodo", {"options": {"key": "a"}}),
        ("hf:a/b", {"sandbox": True}),
        ("file:///tmp/x", {"base_url": "https://a"}),
        ("zenodo", {"sandbox": True, "base_url": "https://a"}),
        ("zenodo", {"deposit": None}),
        ("zenodoo", {}),
        ("hf:a", {}),
        ("hf:a/../b", {}),
        ("https://host/x", {}),
        ("s3://", {}),
        ("s3://key:secret@bucket/x", {}),
    ]
    for to, options in wrong:
        with pytest.raises(InputError, match="must") as caught:
            publish(release, to, **{"describe": texts, "deposit": deposit, "dry_run": True, **options})
        assert "secret" not in str(caught.value)


def test_texts_must_be_those_of_the_manifest(zenodo, release):
    with pytest.raises(InputError, match=r"describe must give texts of the manifest, got \['NEWS\.md'\]"):
        send(release, zenodo, describe=lambda places: {**texts(places), "NEWS.md": b""})
    assert dict(zenodo.sent) == {}
