"""Versions, packs, texts, verification, publishing and export of finished stores."""
