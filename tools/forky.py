"""Run the suite on a wheel for Debian forky's Python, where the machine has none so new.

    python tools/forky.py [--folder FOLDER] [--python python3.14] [WHEELTEST ARGUMENTS ...]

Makes FOLDER (build/forky) a Debian forky with debootstrap, once, and runs tools/wheeltest.py in
it: see there for its arguments. Needs Linux, root, debootstrap and a mirror of Debian; where one of
them is missing it says `skipped:` and why, and the exit status is 77.
What is mounted is seen by that run alone and is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import wheeltest

SKIPPED = 77
MIRROR = "http://deb.debian.org/debian"
#: The Python, what builds the C engine, and libsodium, which hio 0.7 loads.
PACKAGES = (
    "python3.14,python3.14-venv,python3.14-dev,gcc,libc6-dev,make,ca-certificates,libsodium26"
)
#: Run in mounts of its own: a terminal for the tests that need one, and what tells of processes.
INSIDE = """
set -e
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot "$0" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@"
"""


def skip(why: str) -> NoReturn:
    """End, saying why nothing was run."""
    print(f"skipped: forky: {why}", flush=True)
    sys.exit(SKIPPED)


def make(folder: Path, mirror: str) -> None:
    """Make the folder a Debian forky, or skip."""
    if (folder / "fasthio-ready").exists():
        return
    tool = shutil.which("debootstrap") or "/usr/sbin/debootstrap"
    if not Path(tool).exists():
        skip("there is no debootstrap (Debian: apt install debootstrap)")
    folder.mkdir(parents=True, exist_ok=True)
    # forky's steps are sid's; older debootstraps know only that name
    steps = "/usr/share/debootstrap/scripts/sid"
    command = [tool, "--variant=minbase", f"--include={PACKAGES}", "forky", folder, mirror, steps]
    print("+", *command, file=sys.stderr, flush=True)
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        skip("debootstrap failed, see above")
    (folder / "fasthio-ready").touch()


def hand_over(folder: Path) -> None:
    """Let pip in the folder go the ways that ours goes."""
    for name in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(name).exists():
            target = folder / name[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)


def main() -> int:
    """Make the folder where it is missing, run the suite in it, take its record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=wheeltest.ROOT / "build" / "forky")
    parser.add_argument("--mirror", default=MIRROR)
    parser.add_argument("--python", default="python3.14", help="a Python of the folder")
    parser.add_argument("--sdist", type=Path, help="take this one")
    parser.add_argument("--record", type=Path, help="add the outcome to this JSON file")
    parser.add_argument("--commit", help="what the record says the sdist is of")
    options, rest = parser.parse_known_args()
    if sys.platform != "linux":
        skip("that needs Linux")
    if os.geteuid() != 0:
        skip("that needs root")
    folder = options.folder.resolve()
    make(folder, options.mirror)
    hand_over(folder)
    with tempfile.TemporaryDirectory(prefix="fasthio-", dir=folder / "root") as name:
        shutil.copy(wheeltest.__file__, name)
        if options.sdist is None:
            sdist = wheeltest.build_sdist(Path(name))
        else:
            sdist = Path(shutil.copy(options.sdist, name))
        home = Path("/", Path(name).relative_to(folder))
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, folder,
             options.python, home / "wheeltest.py", "--sdist", home / sdist.name,
             "--record", home / "record.json", "--commit",
             options.commit or wheeltest.commit(), *rest],
            check=False,
        )  # fmt: skip
        made = Path(name, "record.json")
        if options.record is not None and made.exists():
            for record in json.loads(made.read_text()):
                wheeltest.add_record(options.record, record)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
