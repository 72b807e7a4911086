"""A body that is sent in chunks (RFC 9112, 7.1), read strictly: what is not exactly a chunk is refused."""

from __future__ import annotations

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_LONGEST_LINE = 1024
_LONGEST_TRAILERS = 8 * 1024
_MOST_FRAMING = 16 * 1024  # bytes around the chunks that are let be, whatever the body's length


class BadChunk(Exception):
    """What was sent is no chunk."""


class TooLong(Exception):
    """The body is longer than the limit."""


class Chunks:
    """Puts one body together. `body` is what came of it so far, `raw` the same as it was sent."""

    def __init__(self, limit: int) -> None:
        self.body = bytearray()
        self.raw = bytearray()
        self._limit = limit
        self._waiting = b""  # what came and is not read yet, from `_at` on
        self._at = 0
        self._missing = 0  # of the chunk that is being read
        self._framing = 0
        self._trailers = 0
        self._complete = False
        self._next = self._size

    def feed(self, data: bytes) -> bytes | None:
        """Take what came. The bytes after the body when it is complete, None as long as it is not.

        Raises BadChunk and TooLong. Extensions and trailers are read over.
        """
        self.raw += data
        self._waiting, self._at = self._waiting[self._at :] + data, 0
        while self._next():
            if self._complete:
                rest = self._waiting[self._at :]
                del self.raw[len(self.raw) - len(rest) :]
                return rest
        return None

    def _size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        found = _SIZE.fullmatch(line)
        if found is None:
            raise BadChunk("A chunk begins with its size in hexadecimal digits.")
        self._missing = int(found[1], 16)
        if len(self.body) + self._missing > self._limit:
            raise TooLong
        self._next = self._data if self._missing else self._trailer
        return True

    def _data(self) -> bool:
        part = self._waiting[self._at : self._at + self._missing]
        self.body += part
        self._at += len(part)
        self._missing -= len(part)
        if self._missing:
            return False
        self._next = self._end_of_data
        return True

    def _end_of_data(self) -> bool:
        end = self._waiting[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise BadChunk("A chunk is as long as it says, and CR LF follows it.")
        if len(end) < 2:
            return False
        self._at += 2
        self._next = self._size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._complete = not line
        self._trailers += len(line)
        if line and (self._trailers > _LONGEST_TRAILERS or not _TRAILER.fullmatch(line)):
            raise BadChunk("What follows the last chunk is no header.")
        return True

    def _line(self) -> bytes | None:
        end = self._waiting.find(b"\r\n", self._at, self._at + _LONGEST_LINE)
        if end < 0:
            if len(self._waiting) - self._at >= _LONGEST_LINE or b"\n" in self._waiting[self._at :]:
                raise BadChunk("A line within a body that is sent in chunks is too long, or does not end with CR LF.")
            return None
        line = self._waiting[self._at : end]
        self._at = end + 2
        self._framing += len(line) + 4
        # framing that outgrows what it frames is an attack on our time, not a body
        if self._framing > len(self.body) + _MOST_FRAMING:
            raise BadChunk("The chunks of the body are too small for what is sent around them.")
        return line
