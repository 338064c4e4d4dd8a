"""Files of users -> canonical contents.

Decoders differ between machines: what a build needs of a file is read once and kept in canonical form (see ``contents``).
"""
