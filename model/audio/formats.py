"""The formats of sounds: one list of what is read, by what and under which names.

A file's format is known from its first bytes, never from its name. Names only tell which files of
a folder may be sounds, and as what a sound is served.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 64  # bytes that identify a format
UNKNOWN = ".bin"


@dataclass(frozen=True)
class Format:
    """A format: its name for people, suffixes (the usual one first), media type, the FFmpeg
    demuxers that read it (none: only libsndfile does), and its signatures (offset, bytes)."""

    name: str
    suffixes: tuple[str, ...]
    media_type: str
    demuxers: tuple[str, ...] = ()
    signatures: tuple[tuple[int, bytes], ...] = ()


FORMATS = (
    Format("WAV", (".wav", ".wave", ".bwf", ".rf64"), "audio/wav", ("wav",),
           ((8, b"WAVE"),)),
    Format("FLAC", (".flac", ".fla"), "audio/flac", ("flac",), ((0, b"fLaC"),)),
    Format("Ogg", (".ogg", ".oga", ".opus", ".spx"), "audio/ogg", ("ogg",), ((0, b"OggS"),)),
    Format("AIFF", (".aiff", ".aif", ".aifc"), "audio/aiff", ("aiff",),
           ((8, b"AIFF"), (8, b"AIFC"))),
    Format("CAF", (".caf",), "audio/x-caf", ("caf",), ((0, b"caff"),)),
    Format("AU", (".au", ".snd"), "audio/basic", ("au",), ((0, b".snd"),)),
    Format("Wave64", (".w64",), "audio/x-w64", ("w64",), ((0, b"riff\x2e\x91\xcf\x11"),)),
    Format("VOC", (".voc",), "audio/x-voc", ("voc",), ((0, b"Creative Voice File"),)),
    Format("8SVX", (".8svx", ".iff"), "audio/x-8svx", ("iff",), ((8, b"8SVX"), (8, b"16SV"))),
    Format("NIST SPHERE", (".sph", ".nist"), "audio/x-nist", ("nistsphere",), ((0, b"NIST_1A"),)),
    Format("IRCAM", (".sf", ".ircam"), "audio/x-ircam", ("ircam",), ()),
    Format("AVR", (".avr",), "audio/x-avr", (), ((0, b"2BIT"),)),
    Format("PAF", (".paf",), "audio/x-paf", (), ((0, b" paf"), (0, b"fap "))),
    Format("Matroska or WebM audio", (".webm", ".weba"), "audio/webm", ("matroska,webm",),
           ((0, b"\x1a\x45\xdf\xa3"),)),
    Format("Matroska audio", (".mka",), "audio/x-matroska"),
    Format("MP4 audio", (".m4a", ".m4b", ".m4r", ".mp4a"), "audio/mp4",
           ("mov,mp4,m4a,3gp,3g2,mj2",), ((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"))),
    Format("Windows Media", (".wma", ".asf"), "audio/x-ms-wma", ("asf",),
           ((0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),)),
    Format("WavPack", (".wv",), "audio/x-wavpack", ("wv",), ((0, b"wvpk"),)),
    Format("TTA", (".tta",), "audio/x-tta", ("tta",), ((0, b"TTA1"), (0, b"TTA2"))),
    Format("Monkey's Audio", (".ape",), "audio/x-ape", ("ape",), ((0, b"MAC "),)),
    Format("Musepack", (".mpc", ".mp+", ".mpp"), "audio/x-musepack", ("mpc", "mpc8"),
           ((0, b"MPCK"), (0, b"MP+"))),
    Format("TAK", (".tak",), "audio/x-tak", ("tak",), ((0, b"tBaK"),)),
    Format("DSD", (".dsf",), "audio/x-dsf", ("dsf",), ((0, b"DSD "),)),
    Format("AMR-WB", (".awb",), "audio/amr-wb", (), ((0, b"#!AMR-WB"),)),
    Format("AMR", (".amr",), "audio/amr", ("amr", "amrnb", "amrwb"), ((0, b"#!AMR"),)),
    Format("RealAudio", (".ra", ".rm"), "audio/x-pn-realaudio", ("rm",),
           ((0, b".RMF"), (0, b".ra\xfd"))),
    Format("E-AC-3", (".eac3", ".ec3"), "audio/eac3"),
    Format("AC-3", (".ac3",), "audio/ac3", ("ac3", "eac3"), ((0, b"\x0b\x77"),)),
    Format("DTS", (".dts",), "audio/vnd.dts", ("dts",), ((0, b"\x7f\xfe\x80\x01"),)),
    Format("Matroska video", (".mkv",), "video/x-matroska"),
    Format("MP4 video", (".mp4", ".m4v"), "video/mp4"),
    Format("QuickTime", (".mov", ".qt"), "video/quicktime"),
    Format("3GPP", (".3gp",), "video/3gpp"),
    Format("3GPP2", (".3g2",), "video/3gpp2"),
    Format("Windows Media video", (".wmv",), "video/x-ms-wmv"),
    Format("Ogg video", (".ogv", ".ogx"), "video/ogg"),
    Format("AVI", (".avi",), "video/x-msvideo", ("avi",), ((8, b"AVI "),)),
    Format("MPEG", (".mpg", ".mpeg", ".vob"), "video/mpeg", ("mpeg",), ((0, b"\x00\x00\x01\xba"),)),
    Format("MPEG transport stream", (".m2ts", ".mts"), "video/mp2t", ("mpegts",)),
    Format("Flash video", (".flv",), "video/x-flv", ("flv", "live_flv"), ((0, b"FLV\x01"),)),
    # Last: their signatures are short, or stand before other formats as well.
    Format("MP3", (".mp3", ".mp2", ".mpga"), "audio/mpeg", ("mp3",), ((0, b"ID3"),)),
    Format("AAC", (".aac", ".adts"), "audio/aac", ("aac", "loas")),
)  # fmt: skip

# Suffixes of the files that are added with their folder.
SUFFIXES = frozenset(suffix for kind in FORMATS for suffix in kind.suffixes)
DEMUXERS = ",".join(name for kind in FORMATS for name in kind.demuxers)
_BY_SUFFIX = {suffix: kind for kind in reversed(FORMATS) for suffix in kind.suffixes}


def format_of(head: bytes) -> Format | None:
    """The format of a file that begins with these bytes, None if they match none."""
    for kind in FORMATS:
        for offset, signature in kind.signatures:
            if head[offset : offset + len(signature)] == signature:
                return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG's sync word
        return _BY_SUFFIX[".aac" if head[1] & 0x06 == 0 else ".mp3"]
    return None


def suffix_of(head: bytes) -> str:
    """The usual suffix of a file that begins with these bytes; `.bin` if they match no format."""
    kind = format_of(head)
    return kind.suffixes[0] if kind else UNKNOWN


def media_type(suffix: str) -> str:
    """The media type of a file with this suffix, in any case; `application/octet-stream` for
    unknown ones."""
    kind = _BY_SUFFIX.get(suffix.lower())
    return kind.media_type if kind else "application/octet-stream"
