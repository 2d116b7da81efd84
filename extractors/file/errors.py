"""Why a file is put aside, in words for the person who made it."""


class BadFile(Exception):
    """A file that cannot be used; both sentences say what is wrong and what to do, without quoting its data."""

    def __init__(self, ru: str, en: str) -> None:
        super().__init__(en)
        self.ru = ru
        self.en = en


class Unfinished(Exception):
    """A file whose end has not arrived yet."""
