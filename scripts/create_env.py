"""Creates a virtual environment and installs this project into it, or does nothing when that was done before.

Usage: python scripts/create_env.py DIRECTORY STAMP REQUIREMENT...

It is run by whatever ``python3`` a machine has, so it must parse on Python 3.6 and may import nothing beyond the
standard library. A stamp file in the environment remembers what was installed from which files by which Python;
when any of it changes, the installation is repeated.
"""

import hashlib
import os
import subprocess
import sys

OLDEST = (3, 10)
NO_VENV = """\
This Python cannot create virtual environments ({executable}: the module {module!r} is missing).
On Debian and Ubuntu install it with:  apt-get install python3-venv
Or name another Python 3.10+:          make PYTHON=/path/to/python3 ...
"""
TOO_OLD = """\
Python {wanted} or newer is needed; {executable} is {found}.
Name another one:  make PYTHON=/path/to/python3 ...
"""


def fail(text: str) -> None:
    sys.stderr.write(text)
    raise SystemExit(1)


def check_python() -> None:
    if sys.version_info < OLDEST:
        wanted, found = (".".join(map(str, version[:2])) for version in (OLDEST, sys.version_info))
        fail(TOO_OLD.format(wanted=wanted, found=found, executable=sys.executable))
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            fail(NO_VENV.format(executable=sys.executable, module=module))


def fingerprint(root: str, requirements: "list[str]") -> str:
    """Everything whose change asks for a new installation, as one line.

    The folder is part of it: a copied or moved environment points to the old place.
    """
    digest = hashlib.sha256()
    for word in [sys.version, sys.base_prefix, root, *requirements]:
        digest.update(word.encode() + b"\0")
    files = [os.path.join(root, "pyproject.toml"), os.path.abspath(__file__)]
    for path in [*files, *filter(os.path.isfile, requirements)]:
        with open(path, "rb") as file:
            digest.update(file.read() + b"\0")
    return digest.hexdigest() + "\n"


def python_of(environment: str) -> str:
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(environment, folder, name)


def base_of(python: str) -> str:
    """Return the version and home of the Python behind an environment; empty when it does not start."""
    code = "import sys; print(sys.version, sys.base_prefix)"
    try:
        return subprocess.run([python, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def main() -> None:
    environment, name, requirements = sys.argv[1], sys.argv[2], sys.argv[3:]
    check_python()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    stamp = os.path.join(environment, "." + name + ".stamp")
    wanted = fingerprint(root, requirements)
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == wanted:
                return
    python = python_of(environment)
    if base_of(python) != f"{sys.version} {sys.base_prefix}":
        print(f"Creating {environment} (Python {sys.version_info[0]}.{sys.version_info[1]})", flush=True)
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", "--clear", environment], check=True)
    print(f"Installing {' '.join(requirements)} (the first time takes a minute)", flush=True)
    arguments = []  # type: list[str]
    for word in requirements:
        # A local project is installed editable, a requirements file by its own option.
        option = ["-e"] if word.startswith(".") else ["-r"] if os.path.isfile(word) else []
        arguments += [*option, word]
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run(pip + arguments, check=True, cwd=root)
    with open(stamp, "w") as file:
        file.write(wanted)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        fail(f"\nThis command failed, see above: {' '.join(error.cmd)}\n")
