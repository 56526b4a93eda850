"""Text files as bytes: what they are made of, how they are encoded, and a plain copy where the engine could not read them."""

from __future__ import annotations

import codecs
import concurrent.futures
import gzip
import hashlib
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from workbench.core.engine import LONGEST_LINE

CHUNK = 2**20
CONTROL = bytes(set(range(32)) - {9, 10, 13})
MARKS = (  # the longer one first: UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
GZIP = b"\x1f\x8b"
WRONG_BYTE = "q\\q"  # in place of a byte that is not UTF-8: no JSON anywhere, whatever stands before it


class Garbled(ValueError):
    """Bytes that are not written in the encoding; `line` is the first such line."""

    def __init__(self, line: int):
        super().__init__(f"line {line}")
        self.line = line


@dataclass
class Facts:
    """What a file's bytes are: SHA-256 (also of its first n bytes, by n), line ends, control characters, overlong lines."""

    size: int = 0
    sha256: str = ""
    heads: dict[int, str] = field(default_factory=dict)
    lf: int = 0
    crlf: int = 0
    cr: int = 0
    control: int = 0
    overlong: bool = False

    @property
    def line_ends(self) -> set[str]:
        """The kinds of line ends that occur."""
        return {kind for kind, count in (("lf", self.lf - self.crlf), ("crlf", self.crlf), ("cr", self.cr)) if count}

    @property
    def is_plain(self) -> bool:
        """Whether the engine reads these bytes as they are."""
        return not (self.cr or self.control or self.overlong) and len(self.line_ends) < 2


def scan(path: Path, heads: Iterable[int] = (), with_hash: bool = True) -> Facts:
    """One pass over a file's bytes -> Facts; `heads`: numbers of first bytes whose SHA-256 is wanted too."""
    import numpy as np

    facts, marks, after_cr = Facts(), sorted(set(heads)), False
    with path.open("rb", buffering=0) as file, _Hasher() as hasher:
        while True:
            room = marks[0] - facts.size if marks and facts.size < marks[0] <= facts.size + CHUNK else CHUNK
            chunk = file.read(room)
            if not chunk:
                break
            if with_hash:
                hasher.update(chunk)
            facts.size += len(chunk)
            while marks and marks[0] <= facts.size:
                facts.heads[marks.pop(0)] = hasher.hexdigest()
            codes = np.frombuffer(chunk, np.uint8)
            low, lines = int(np.count_nonzero(codes < 32)), int(np.count_nonzero(codes == 10))
            facts.lf += lines
            facts.overlong |= not lines and len(chunk) == CHUNK
            if low != lines or after_cr:
                after_cr = _count_rare(facts, chunk, after_cr)
        facts.sha256 = hasher.hexdigest()
    facts.cr += after_cr
    return facts


class _Hasher(concurrent.futures.ThreadPoolExecutor):
    """SHA-256 of what comes, computed beside the work of whoever hands it over (both leave Python meanwhile)."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self._sha256, self._last = hashlib.sha256(), None

    def update(self, chunk: bytes) -> None:
        self._wait()  # no more than one chunk lies ready
        self._last = self.submit(self._sha256.update, chunk)

    def hexdigest(self) -> str:
        self._wait()
        return self._sha256.hexdigest()

    def _wait(self) -> None:
        if self._last:
            self._last.result()


def _count_rare(facts: Facts, chunk: bytes, after_cr: bool) -> bool:
    """Count carriage returns and control characters; -> whether the chunk ends between CR and what follows it."""
    if after_cr:
        facts.crlf += chunk.startswith(b"\n")
        facts.cr += not chunk.startswith(b"\n")
    ends_with_cr = chunk.endswith(b"\r")
    pairs = chunk.count(b"\r\n")
    facts.crlf += pairs
    facts.cr += chunk.count(b"\r") - pairs - ends_with_cr
    facts.control += len(chunk) - len(chunk.translate(None, CONTROL))
    return ends_with_cr


def marked_encoding(start: bytes) -> str:
    """The encoding that a byte-order mark tells, else an empty text."""
    return next((encoding for mark, encoding in MARKS if start.startswith(mark)), "")


def open_bytes(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked where its first ones say that it is compressed with gzip, whatever it is called."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")


PACKING_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile)


def write_plain(source: IO[bytes], target: Path, encoding: str, keep: str = "", is_json: bool = False) -> Facts:
    """Bytes -> a copy in UTF-8 with LF line ends and without control characters (but `keep`); -> Facts of what was there.

    Lines longer than the engine takes are cut, so that it sets them aside. Raises Garbled where bytes are not of a declared encoding
    other than UTF-8; wrong bytes in UTF-8 stay, and the engine sets their lines aside.
    """
    facts, line, tail = Facts(), 0, b""
    with target.open("wb") as out:
        for chunk in _in_utf8(source, encoding, is_json):
            facts.size += len(chunk)
            facts.lf += chunk.count(b"\n")
            chunk = tail + chunk
            tail = b"\r" if chunk.endswith(b"\r") else b""
            chunk = chunk[: len(chunk) - len(tail)]
            pairs = chunk.count(b"\r\n")
            facts.crlf += pairs
            facts.cr += chunk.count(b"\r") - pairs
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            clean = chunk.translate(None, CONTROL.replace(keep.encode(), b"") if keep else CONTROL)
            facts.control += len(chunk) - len(clean)
            line = _write_cut(out, clean, line, facts)
        if tail:
            facts.cr += 1
            out.write(b"\n")
    return facts


def _write_cut(out: IO[bytes], chunk: bytes, line: int, facts: Facts) -> int:
    """Write a chunk, leaving out what makes a line longer than LONGEST_LINE; -> length of the line it ends in."""
    first = chunk.find(b"\n")
    if line and line + (first if first >= 0 else len(chunk)) > LONGEST_LINE - CHUNK:
        facts.overlong = True
        rest = chunk[first:] if first >= 0 else b""
        room = max(LONGEST_LINE - CHUNK - line, 0)
        out.write(chunk[: min(room, first if first >= 0 else len(chunk))] + rest)
    else:
        out.write(chunk)
    last = chunk.rfind(b"\n")
    return len(chunk) - last - 1 if last >= 0 else line + len(chunk)


def _in_utf8(source: IO[bytes], encoding: str, is_json: bool) -> Iterator[bytes]:
    if encoding == "utf-8" and not is_json:
        yield source.read(CHUNK).removeprefix(codecs.BOM_UTF8)
        yield from iter(lambda: source.read(CHUNK), b"")
        return
    # A line of JSON with a wrong byte has to become unreadable, not merely look odd.
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)
    decoder, lines = decoder("surrogateescape" if encoding == "utf-8" else "strict"), 0
    while True:
        chunk = source.read(CHUNK)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeError as fault:
            before = getattr(fault, "object", b"")[: getattr(fault, "start", 0)]
            raise Garbled(lines + before.count(b"\n") + 1) from None
        lines += text.count("\n")
        yield (text if text.isascii() else re.sub("[\udc80-\udcff]", lambda _: WRONG_BYTE, text)).encode()
        if not chunk:
            return


def has_crlf(path: Path) -> bool:
    """Whether the beginning of a file ends its lines with CR LF."""
    with path.open("rb") as file:
        return b"\r\n" in file.read(CHUNK)


def ends_with_line_end(path: Path) -> bool:
    """Whether a file's last byte ends a line."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 1, 0))
        return file.read(1) in (b"\n", b"\r")


def splits_line_end(path: Path, at: int) -> bool:
    """Whether a place in a file lies between CR and LF."""
    with path.open("rb") as file:
        file.seek(max(at - 1, 0))
        return file.read(2) == b"\r\n"


def copy_from(path: Path, start: int, target: Path) -> None:
    """The bytes of a file from a place on -> a file of their own."""
    with path.open("rb") as whole, target.open("wb") as rest:
        whole.seek(start)
        shutil.copyfileobj(whole, rest, CHUNK)


def first_lines(path: Path, offsets: list[int]) -> list[int]:
    """Places in a file, in bytes and ascending -> the numbers of the lines that they lie in, from 1."""
    found, line, at = [], 1, 0
    with path.open("rb") as file:
        for offset in offsets:
            while at < offset:
                chunk = file.read(min(CHUNK, offset - at))
                line, at = line + chunk.count(b"\n"), at + len(chunk)
            # The engine may point at the line end before the record.
            ahead = re.match(rb"[\r\n]*", file.read(16)).group()
            file.seek(at)
            found.append(line + ahead.count(b"\n"))
    return found


@dataclass(frozen=True)
class Judgement:
    """How a text without a declared encoding is written: its encoding (empty: nobody can tell) and its first wrong line."""

    encoding: str
    line: int = 0


def judge_encoding(path: Path) -> Judgement:
    """Whether a text is UTF-8 (perhaps with a few damaged lines) or something else that can be told with confidence."""
    bad, first, sound, lines, sample = 0, 0, 0, 0, bytearray()
    with open_bytes(path) as file:
        for block in iter(lambda: file.readlines(CHUNK), []):
            joined = b"".join(block)
            if not joined.isascii():
                for number, line in enumerate(block, lines + 1):
                    if line.isascii():
                        continue
                    try:
                        line.decode()
                        sound += 1
                    except UnicodeError:
                        bad, first = bad + 1, first or number
                        sample += line if len(sample) < 2**16 else b""
            lines += len(block)
    # Real text of another encoding is hardly ever sound UTF-8 by chance; one wrong byte far down is damage, not an encoding.
    if not bad or sound >= bad or bad * 1000 <= lines:
        return Judgement("utf-8", first)
    return Judgement(recognise(bytes(sample)), first)


def recognise(sample: bytes) -> str:
    """The encoding of bytes that are not UTF-8, where charset-normalizer is sure of it; else an empty text."""
    import charset_normalizer

    found = list(charset_normalizer.from_bytes(sample))
    if not found:
        return ""
    best = found[0]
    alike = {best.encoding, *best.could_be_from_charset}
    if "cp1252" in alike:
        words = [c for c in sample.decode("cp1252") if c > "\x7f"]
        return "cp1252" if len(words) > 1 and all(c.isalpha() or c in "’‘“”„–—…€°§«»£®©™·•´`¿¡" for c in words) else ""
    # Other encodings read the same bytes as other letters: only without a rival, and where the letters make up a language.
    rivals = [m for m in found[1:] if m.chaos < best.chaos + 0.05]
    return best.encoding if not rivals and best.chaos < 0.2 and best.coherence > 0.2 else ""
