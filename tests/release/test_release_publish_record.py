"""The record of where a release was published, tokens, and trying again."""

from __future__ import annotations

import json
import logging
import pickle
import re

import blake3
import pytest
from fakes import TOKEN
from hypothesis import given
from hypothesis import strategies as st
from release_folder import make_release

from miso_gen.errors import CorruptStoreError, InputError, StoreError, WorkError
from miso_gen.release.facts import Publication
from miso_gen.release.publication import PublicationRecord, manifest_checksum, read_publication
from miso_gen.release.publishing.retrying import Interrupted, persist, retry_after
from miso_gen.release.publishing.tokens import Token, find_token
from miso_gen.store import open_target
from miso_gen.store.manifest import FileEntry

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLACES = st.builds(Publication, TEXT, TEXT, TEXT, st.none() | TEXT)
ENTRIES = st.builds(FileEntry, st.integers(0, 1 << 50), TEXT)
RECORDS = st.builds(PublicationRecord, TEXT, st.lists(PLACES, max_size=3).map(tuple), st.dictionaries(TEXT, ENTRIES, max_size=3))


@given(RECORDS)
def test_a_record_comes_back(record):
    data = record.to_bytes()
    assert PublicationRecord.from_bytes(data) == record
    document = json.loads(data)
    assert [Publication(**place) for place in document["publications"]] == list(record.publications)
    assert {path: FileEntry(*entry) for path, entry in document["files"].items()} == dict(record.files)
    head, _, line = data.decode().rpartition(',\n"checksum": ')
    lines = re.sub(',\n(?=")', "\n", head.removeprefix("{\n"))
    assert json.loads(line.removesuffix("\n}\n")) == blake3.blake3(lines.encode()).hexdigest()


@given(RECORDS, st.data())
def test_any_edit_shows(record, data):
    text = record.to_bytes()
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != text[place]))
    for edited in (text[:place] + bytes([byte]) + text[place + 1 :], text[:place], text[:place] + text[place + 1 :]):
        with pytest.raises(StoreError):
            PublicationRecord.from_bytes(edited)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"1", b"\xff", b'{"format": "1"}', b'{"format": 1}', b"[" * 100_000])
def test_what_is_no_record(text):
    with pytest.raises(CorruptStoreError, match=r"publication\.json must be the record that publishing wrote"):
        PublicationRecord.from_bytes(text)


def test_a_newer_record_asks_for_an_upgrade():
    with pytest.raises(StoreError, match=r"at most 1, got 2\. Upgrade"):
        PublicationRecord.from_bytes(PublicationRecord("a").to_bytes().replace(b'"format": 1', b'"format": 2'))


def test_the_order_of_files_does_not_matter():
    entries = {"b": FileEntry(1, "x"), "a": FileEntry(2, "y")}
    one = PublicationRecord("m", (), entries).to_bytes()
    assert one == PublicationRecord("m", (), dict(reversed(entries.items()))).to_bytes()


def test_reading_a_folder(tmp_path):
    target = open_target(tmp_path)
    assert read_publication(target) is None
    record = PublicationRecord("m", (Publication("s3", "s3://a", "s3://a"),))
    target.write("publication.json", record.to_bytes())
    assert read_publication(target) == record
    target.write("publication.json", record.to_bytes()[:-1])
    with pytest.raises(CorruptStoreError, match=str(tmp_path)):
        read_publication(target)


def test_the_checksum_is_that_of_the_manifest(tmp_path):
    manifest = make_release(tmp_path)
    assert manifest_checksum(manifest) == json.loads((tmp_path / "manifest.json").read_bytes())["checksum"]


def test_a_record_of_another_manifest_is_refused(tmp_path):
    from release_folder import texts

    from miso_gen.release.publishing import publish

    make_release(tmp_path / "toy")
    (tmp_path / "toy/publication.json").write_bytes(PublicationRecord("other").to_bytes())
    with pytest.raises(StoreError, match="must be of the manifest beside it"):
        publish(tmp_path / "toy", f"file://{tmp_path}/there", describe=texts)
    assert not (tmp_path / "there").exists()


class Ring:
    """A keyring with what it is told."""

    def __init__(self, held, error=None):
        self.held, self.error = held, error

    def __call__(self, service, name):
        if self.error:
            raise self.error
        return self.held.get((service, name))


def test_tokens_come_from_the_environment_then_from_the_keyring(monkeypatch):
    keyring = pytest.importorskip("keyring")
    monkeypatch.setattr(keyring, "get_password", Ring({("miso-gen", "ZENODO_TOKEN"): "ringed"}))
    monkeypatch.delenv("ZENODO_TOKEN", raising=False)
    assert find_token("ZENODO_TOKEN", "it").reveal() == "ringed"
    monkeypatch.setenv("ZENODO_TOKEN", f" {TOKEN}\n")
    assert find_token("ZENODO_TOKEN", "it").reveal() == TOKEN
    monkeypatch.delenv("ZENODO_TOKEN")
    for ring in (Ring({}), Ring({}, keyring.errors.NoKeyringError("none")), Ring({}, keyring.errors.KeyringLocked())):
        monkeypatch.setattr(keyring, "get_password", ring)
        with pytest.raises(InputError, match="ZENODO_TOKEN must be set to a token of it"):
            find_token("ZENODO_TOKEN", "it")


@pytest.mark.parametrize("value", ["two words", "line\nline", "tökén", "a\x00b", "a\tb"])
def test_what_can_be_no_token_is_not_shown(monkeypatch, value):
    keyring = pytest.importorskip("keyring")
    monkeypatch.delenv("T", raising=False)
    monkeypatch.setattr(keyring, "get_password", Ring({("miso-gen", "T"): value}))
    with pytest.raises(InputError, match="T must be a token of it, got a text with blanks") as caught:
        find_token("T", "it")
    assert value not in str(caught.value)


def test_a_token_does_not_show_itself(caplog):
    token = Token(TOKEN, "ZENODO_TOKEN")
    assert [repr(token), str(token), f"{token}", "%s" % token] == ["Token(ZENODO_TOKEN)"] * 4  # noqa: UP031
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").warning("%s %r", token, token)
    assert TOKEN not in caplog.text
    with pytest.raises(TypeError, match="must stay in its process"):
        pickle.dumps(token)
    assert token.redact(f"Bearer {TOKEN}, {TOKEN}") == "Bearer ***, ***"


def test_persisting():
    waits = []

    def action(number):
        if number < 4:
            raise Interrupted("no", [None, 7.0, 5000.0, None][number])
        return number

    assert persist(action, waits.append, "it") == 4
    assert waits == [1.0, 7.0, 900.0, 8.0]

    def never(number):
        raise Interrupted("the answer 503")

    with pytest.raises(WorkError, match=r"it must come through, got the answer 503, 6 times\. Publish again later"):
        persist(never, waits.append, "it")
    assert len(waits) == 4 + 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("", None), ("12", 12.0), (" 3 ", 3.0), ("-1", None), ("soon", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
def test_how_long_a_service_asks_to_wait(text, seconds):
    assert retry_after(text) == seconds
