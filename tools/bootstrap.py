"""Creates the environment `.venv` of this checkout. Runs on a bare Python 3.11: standard library only.

    python3.11 tools/bootstrap.py            create or refresh the environment
    python3.11 tools/bootstrap.py --lock     recompile requirements/*.txt from the *.in files

Everything is written inside the checkout. Nothing is installed that the lock does not name with its hash.
A stamp of the lock makes the second run instant.
"""

import configparser
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
VAR = ROOT / "var"
REQUIREMENTS = ROOT / "requirements"
STAMP = VENV / "polka-lock.sha256"
GIGABYTE = 1_000_000_000
SPACE_FOR_ENVIRONMENT = 3 * GIGABYTE
COMPILE = ["pip", "compile", "--quiet", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"]
COMPILE += ["--no-header", "--no-annotate", "--python-version", "3.11"]
# pip's own settings name the place where packages come from; uv reads them only under these names.
FROM_PIP = {
    "index-url": ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    "extra-index-url": ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
    "find-links": ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
    "cert": ("PIP_CERT", "SSL_CERT_FILE"),
}
SEPARATOR = {"UV_DEFAULT_INDEX": " ", "UV_INDEX": " ", "UV_FIND_LINKS": ","}


class Refusal(Exception):
    """Something is missing; the message is one sentence that says what to do."""


def main() -> int:
    try:
        check_machine()
        VAR.mkdir(exist_ok=True)
        with (VAR / "bootstrap.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second waits and finds it done
            if "--lock" in sys.argv[1:]:
                lock_requirements()
            else:
                install()
    except Refusal as refusal:
        print(f"\nCannot go on: {refusal}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nCannot go on: {explain_os_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to continue.", file=sys.stderr)
        return 130
    return 0


def check_machine() -> None:
    if sys.version_info[:2] != (3, 11):
        raise Refusal(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}, Polka needs 3.11; install it.")
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise Refusal(f"Python's module {module} is missing; install it: apt install python3-venv")
    if not os.access(ROOT, os.W_OK):
        raise Refusal(f"{ROOT} is not writable for you; copy it to a folder of yours.")


def check_space(needed: int) -> None:
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise Refusal(
            f"{free / GIGABYTE:.1f} GB are free on the disk of {ROOT}, {needed / GIGABYTE:.0f} GB are needed; "
            "free some space and run the command again."
        )


def install() -> None:
    wanted = fingerprint()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text().strip() == wanted:
        return
    check_space(SPACE_FOR_ENVIRONMENT)
    print("Preparing the environment .venv (once, a minute or so)", flush=True)
    prepare_uv()
    step(
        "packages of requirements/dev.txt",
        [*uv(), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", str(REQUIREMENTS / "dev.txt")],
    )
    editable = ["--no-deps", "--no-build-isolation", "--config-settings", "editable_mode=compat", "-e", str(ROOT)]
    step("polka itself", [*uv(), "pip", "install", "--quiet", *editable])
    STAMP.write_text(wanted + "\n")


def prepare_uv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    step("virtual environment", [sys.executable, "-m", "venv", str(VENV)])
    step("installer (uv)", pip_install(VENV))


def lock_requirements() -> None:
    """The newest versions that satisfy the *.in files; addresses of package indexes never get into the result."""
    tool = VAR / "lock-environment"
    if not (tool / "bin" / "uv").exists():
        shutil.rmtree(tool, ignore_errors=True)
        step("virtual environment", [sys.executable, "-m", "venv", str(tool)])
        step("installer (uv)", pip_install(tool))
    for name, options in (
        ("bootstrap", []),
        ("dev", []),
        ("runtime", ["--constraint", "dev.txt"]),
    ):
        step(
            f"requirements/{name}.txt",
            [str(tool / "bin" / "uv"), *COMPILE, *options, "--upgrade", f"{name}.in", "--output-file", f"{name}.txt"],
            cwd=REQUIREMENTS,
        )


def pip_install(environment: Path) -> list[str]:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    return [*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS / "bootstrap.txt")]


def uv() -> list[str]:
    # Not the script `uv`: its first line breaks where a path is long or has a space.
    return [str(PYTHON), "-m", "uv"]


def step(name: str, command: list[str], cwd: Path = ROOT) -> None:
    print(f"  {name} ... ", end="", flush=True)
    started = time.monotonic()
    outcome = subprocess.run(
        command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if outcome.returncode != 0:
        output = outcome.stdout.decode(errors="replace").strip()
        print("failed", flush=True)
        raise Refusal(explain(name, output))
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def explain(name: str, output: str) -> str:
    tail = "\n".join(output.splitlines()[-12:])
    if "No space left on device" in output:
        return "the disk is full; free some space and run the command again."
    if "mismatch" in output.lower() and "hash" in output.lower():
        return f"a package is not the one the lock names; do not use this package index, or run `make lock`.\n{tail}"
    unreachable = ("Connect", "Failed to fetch", "Temporary failure in name resolution", "No matching distribution")
    if any(word in output for word in unreachable):
        return f"the package index cannot be reached; check the network or pip's settings (pip config list).\n{tail}"
    return f"the step '{name}' failed.\n{tail}"


def explain_os_error(error: OSError) -> str:
    if error.errno == 28:
        return "the disk is full; free some space and run the command again."
    return f"{error.strerror}: {error.filename}."


def fingerprint() -> str:
    """Changes when the lock, the project's own metadata, the interpreter or the checkout's place change."""
    digest = hashlib.sha256()
    for path in (REQUIREMENTS / "bootstrap.txt", REQUIREMENTS / "dev.txt", ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    digest.update(f"{sys.version}|{os.fsencode(ROOT)!r}".encode())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    settings = dict(os.environ)
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    settings.pop("VIRTUAL_ENV", None)
    temporary = VAR / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    settings.update(
        PYTHONUTF8="1",
        UV_CACHE_DIR=str(VAR / "cache" / "uv"),
        UV_PYTHON=str(PYTHON),
        UV_PYTHON_DOWNLOADS="never",
        UV_NO_PROGRESS="1",
        TMPDIR=str(temporary),
    )
    for name, value in pip_settings().items():
        settings.setdefault(name, value)
    if "SSL_CERT_FILE" not in settings:
        settings.setdefault("UV_SYSTEM_CERTS", "1")  # companies add their own authority to the system's store
    return settings


def pip_settings() -> dict[str, str]:
    """Where pip was told to look for packages, under uv's names."""
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    home = Path(os.environ.get("HOME") or "/nonexistent")
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    if os.environ.get("PIP_CONFIG_FILE"):
        files.append(Path(os.environ["PIP_CONFIG_FILE"]))
    try:
        parser.read([file for file in files if os.access(file, os.R_OK)], encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return found
    for option, (from_environment, name) in FROM_PIP.items():
        value = os.environ.get(from_environment) or parser.get("global", option, fallback="")
        if value.split():
            found[name] = value.strip() if option == "cert" else SEPARATOR[name].join(value.split())
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip does; the hashes keep it safe
    return found


if __name__ == "__main__":
    sys.exit(main())
