"""Writes `.env` with random secrets for docker compose, readable by its owner only. Never overwrites one."""

import base64
import os
import secrets
import sys
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
ENV_FILE = PROJECT_ROOT / ".env"
CONNECTIONS_FILE = PROJECT_ROOT / "connections.env"

ENV_TEMPLATE = """\
# Made by `make env`. Secrets of this installation: keep the file to yourself, never commit it.
POSTGRES_PASSWORD={postgres}
WAREHOUSE_PASSWORD={warehouse}
AIRFLOW_DATABASE_PASSWORD={airflow}
AIRFLOW_FERNET_KEY={fernet}
# Encrypts the OAuth tokens of CRM portals in the warehouse. To change it: the new key, a comma, the old key.
POLKA_TOKEN_KEYS={token_keys}
AIRFLOW_JWT_SECRET={jwt}
AIRFLOW_SECRET_KEY={session}
POLKA_ADMIN_USER=admin
POLKA_ADMIN_PASSWORD={admin}

# The company. Rehearse until the lists look right, then set POLKA_SEND=true.
POLKA_SEND=false
POLKA_TIME_ZONE=Europe/Moscow
POLKA_CHANNELS=["bitrix24", "email"]
POLKA_EMAIL_FROM=polka@localhost
"""

CONNECTIONS_TEMPLATE = """\
# Where the sources and channels are. Uncomment and fill in, or enter them in Airflow's UI instead (they are
# encrypted there). The names are those of config/sources.yml and of the settings. Keep the single quotes;
# a login and a password are two more keys: "login", "password".
#AIRFLOW_CONN_ONEC_MAIN='{"conn_type": "http", "host": "https://1c.example.org/ut/odata/standard.odata"}'
#AIRFLOW_CONN_B24_MAIN='{"conn_type": "http", "host": "https://example.bitrix24.ru/rest/1/<webhook code>/"}'
#AIRFLOW_CONN_AMO_MAIN='{"conn_type": "http", "host": "https://example.amocrm.ru", "password": "<long-lived token>"}'
#AIRFLOW_CONN_SMTP_DEFAULT='{"conn_type": "smtp", "host": "smtp.example.org", "port": 587}'
"""


def env_text() -> str:
    """The text of `.env`, with new secrets at every call; all of them are safe inside a URL."""
    return ENV_TEMPLATE.format(
        postgres=secrets.token_urlsafe(24),
        warehouse=secrets.token_urlsafe(24),
        airflow=secrets.token_urlsafe(24),
        fernet=_fernet_key(),
        token_keys=_fernet_key(),
        jwt=secrets.token_urlsafe(48),
        session=secrets.token_urlsafe(32),
        admin=secrets.token_urlsafe(16),
    )


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def write_private(path: Path, text: str) -> bool:
    """Create the file with mode 0600; False when it was there already and was left alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def main() -> int:
    say = sys.stdout.write
    for path, text in ((ENV_FILE, env_text()), (CONNECTIONS_FILE, CONNECTIONS_TEMPLATE)):
        if write_private(path, text):
            say(f"{path.name} was written (only you can read it).\n")
        else:
            say(f"{path.name} is already there and was left as it is.\n")
    say("Next: docker compose up --build --detach, then http://127.0.0.1:8080 (user and password are in .env).\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
