"""Which errors of a database are about a row's content, so that trying again cannot help."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

# MySQL and MariaDB report some of these as operational errors.
_MYSQL_CONTENT = {
    1048,  # column cannot be null
    1153,  # packet too large: a smaller batch may pass
    1264,  # out of range
    1292,  # incorrect datetime
    1366,  # incorrect string or number
    1406,  # too long
    3140,  # invalid JSON
    3819,  # a check constraint (MySQL)
    4025,  # a check constraint (MariaDB)
}
_SQLITE_CONTENT = ("too big", "datatype mismatch", "Error binding parameter", "type 'dict' is not supported")


def is_refusal(error: Exception) -> bool:
    """True where leaving a row out helps and waiting does not."""
    if isinstance(error, (IntegrityError, DataError)):
        return True
    if isinstance(error, (OverflowError, UnicodeEncodeError)):  # of the driver, before the database sees the row
        return True
    if isinstance(error, DBAPIError):
        number = error.orig.args[0] if error.orig is not None and error.orig.args else None
        return number in _MYSQL_CONTENT or any(part in str(error.orig) for part in _SQLITE_CONTENT)
    return isinstance(error, StatementError)  # a value that could not be made a parameter
