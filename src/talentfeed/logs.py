"""The log's lines, the platform's or JSON, on stdout and in a file that an outside rotation may move away."""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, timezone
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Literal

import msgspec

from talentfeed.times import iso_milliseconds

PLATFORM_TIME = timezone(timedelta(hours=-5), "GMT-5")
Form = Literal["platform", "json"]

# Of the request that is being answered: on each of its log lines, in the tasks and threads that it starts as well.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")  # likewise, where it is traced


class PlatformFormatter(logging.Formatter):
    """`<timestamp> - <module> - <level> - <message>`, in GMT-5 wherever the machine stands; then a request's id."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s - %(name)s - %(levelname)s - %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        at = datetime.fromtimestamp(record.created, UTC).astimezone(PLATFORM_TIME)
        return at.strftime("%Y-%m-%d %H:%M:%S") + f",{at.microsecond // 1000:03d}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        request_id = REQUEST_ID.get()
        line = super().formatMessage(record)
        return f"{line} [request {request_id}]" if request_id else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, module, message; request_id, trace_id, exception where there are."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso_milliseconds(record.created),
            "level": record.levelname,
            "module": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        if trace_id := TRACE_ID.get():
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # what is no text in UTF-8, as of a path from the outside, must not cost the line
        return msgspec.json.encode({k: v.encode(errors="backslashreplace").decode() for k, v in line.items()}).decode()


_FORMATTERS: dict[Form, type[logging.Formatter]] = {"platform": PlatformFormatter, "json": JsonFormatter}


class RotatedFileHandler(WatchedFileHandler):
    """Follows a file that is moved away, makes its folder again, and never fails whoever logs: a log line that cannot
    be written to the file is on stdout all the same."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or say once on stdout that the file cannot be written."""
        try:
            try:
                super().emit(record)
            except FileNotFoundError:
                Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
                super().emit(record)
            self._failing = False
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        """Called while the fault is being handled."""
        if not self._failing:
            self._failing = True
            sys.stdout.write(
                f"Log file {self.baseFilename} cannot be written: {sys.exc_info()[1]}; stdout has it all\n"
            )


def set_up(*, level: str = "INFO", file: Path | None, form: Form = "platform") -> None:
    """Send every logger of this process to stdout and, where given, to `file` (its folder is made).

    A file that cannot be opened is said once on stdout; logging goes on without it.
    """
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    refused: OSError | None = None
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(RotatedFileHandler(file))
        except OSError as error:
            refused = error
    for handler in handlers:
        handler.setFormatter(_FORMATTERS[form]())
        root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True  # metrics count requests; a line each would halve the speed
    if refused is not None:
        logging.getLogger(__name__).warning("Log file %s cannot be written (%s); logging to stdout only", file, refused)
