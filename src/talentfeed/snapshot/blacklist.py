"""URLs that no feed shows: a file that people write."""

import codecs
import csv
import logging
import re
from pathlib import Path

from talentfeed.errors import SourceError

log = logging.getLogger(__name__)
_COMMENT = re.compile(r"\s#.*")


def listed_urls(path: Path) -> list[tuple[int, str]] | None:
    """The blacklist as (line, URL): one a line, or in its first cell; `#` comments. None where there is no such file.

    A URL may hold commas: a line counts both whole and by its first cell. Raises SourceError where it is no text file.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"blacklist {path}: cannot be read: {error.strerror}") from error
    utf_16 = stored.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = stored.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = stored.decode("latin-1")
        log.warning("blacklist %s: it is not UTF-8; read as Latin-1", path)
    if "\0" in text:
        raise SourceError(f"blacklist {path}: it is no text; accepted: UTF-8, one URL a line")
    listed = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = "" if line.lstrip().startswith("#") else _COMMENT.sub("", line).strip()
        try:
            cell = "".join(next(csv.reader([bare]), [])[:1]).strip()
        except csv.Error as error:
            raise SourceError(f"blacklist {path}: line {number}: {error}; accepted: one URL a line") from error
        listed += [(number, url) for url in dict.fromkeys((bare, cell)) if url]
    return listed
