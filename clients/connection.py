"""How a client learns where to go; the caller fills it from an Airflow connection."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Connection:
    """Address and credentials of one system. Its repr never shows a secret."""

    url: str
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: dict[str, str] = field(default_factory=dict, repr=False)
