"""Publishing: a release to Zenodo, the Hugging Face Hub, or object storage."""

from __future__ import annotations

from miso_gen.release.publishing.interfaces import Call, Publisher, Upload, Watcher
from miso_gen.release.publishing.publish import Describe, PublishResult, publish

__all__ = ["Call", "Describe", "PublishResult", "Publisher", "Upload", "Watcher", "publish"]
