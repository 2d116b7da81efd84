"""What can go wrong while reading, besides what the transport itself reports (clients.errors)."""


class SpecError(ValueError):
    """An entity file or a mapping is wrong; the message names the file and the place."""


class ReadError(RuntimeError):
    """The read cannot be trusted. What has landed stays; cursor and coverage do not move."""


class ShortRead(ReadError):
    """Fewer records came than the source claims to have, again after reading anew."""


class RepeatedPage(ReadError):
    """The source sent the same page twice: it does not honour the offset."""


class BrokenPage(ReadError):
    """A page is not the JSON collection it should be."""


class MissingFields(ReadError):
    """The source does not publish what the mapping needs; the message lists it."""
