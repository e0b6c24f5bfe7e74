"""The container format of a sound, from its first bytes and never from its name."""

from __future__ import annotations

HEAD = 64  # bytes that identify a format
UNKNOWN = ".bin"

# (offset, signature, suffix); specific ones first.
_SIGNATURES = (
    (8, b"WAVE", ".wav"),
    (0, b"fLaC", ".flac"),
    (0, b"OggS", ".ogg"),
    (8, b"AIFF", ".aiff"),
    (8, b"AIFC", ".aiff"),
    (0, b"caff", ".caf"),
    (0, b".snd", ".au"),
    (0, b"riff\x2e\x91\xcf\x11", ".w64"),
    (0, b"\x1a\x45\xdf\xa3", ".webm"),
    (4, b"ftyp", ".m4a"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wma"),
    (0, b"ID3", ".mp3"),
)


def suffix_of(head: bytes) -> str:
    """The suffix of a file that begins with these bytes; `.bin` if they match no format."""
    for offset, signature, suffix in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return suffix
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG's sync word
        return ".aac" if head[1] & 0x06 == 0 else ".mp3"
    return UNKNOWN
