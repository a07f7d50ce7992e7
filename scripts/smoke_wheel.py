"""Builds the source archive and, from it, the wheel; installs the wheel in a clean environment and sells with it.

Usage: python scripts/smoke_wheel.py

What is checked here cannot be seen from a source tree: that the files a user needs are packed and no others, that the
metadata asks for aiogram alone, and that the package works with nothing of this repository within its reach.
"""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "aiogram_neonpay"


def build(target: Path) -> Path:
    """Build both distributions with the backend already installed here, and return the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nThe distributions could not be built.")
    (wheel,) = target.glob("*.whl")
    return wheel


def problems_of(wheel: Path) -> list[str]:
    """Return what is wrong with the wheel's content, a sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.endswith("/")}
        (metadata,) = (name for name in packed if name.endswith(".dist-info/METADATA"))
        header = email.message_from_bytes(archive.read(metadata))
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    content = {name for name in packed if ".dist-info/" not in name}
    found = [f"missing from the wheel: {name}" for name in sorted(wanted - content)]
    found += [f"does not belong into the wheel: {name}" for name in sorted(content - wanted)]
    if f"{PACKAGE}/py.typed" not in packed:
        found.append("py.typed is missing: type checkers would ignore the annotations")
    if not any(name.endswith("licenses/LICENSE") for name in packed):
        found.append("the licence is missing")
    required = [word for word in header.get_all("Requires-Dist", []) if "extra ==" not in word]
    if [word.split("<")[0].split(">")[0].strip() for word in required] != ["aiogram"]:
        found.append(f"only aiogram may be required, not {required}")
    return found


def python_in(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="neonpay-smoke-") as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        if problems := problems_of(wheel):
            sys.exit("\n".join(problems))
        venv.create(folder / "env", with_pip=True)
        python = python_in(folder / "env")
        # Run from a copy in an empty folder: nothing of the source tree can be imported by accident.
        program = Path(shutil.copy(ROOT / "scripts" / "smoke_sale.py", folder))
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        for command in (
            ["-m", "pip", "install", "-qq", "--disable-pip-version-check", str(wheel)],
            ["-m", "pip", "--disable-pip-version-check", "check"],
            ["-W", "error", str(program)],
        ):
            if subprocess.run([str(python), *command], cwd=folder, env=outside).returncode:
                sys.exit(f"The wheel failed in a clean environment: python {' '.join(command)}")
        print(f"{wheel.name}: built, installed alone with what it requires, and sold")


if __name__ == "__main__":
    main()
