"""Build the free-threaded CPython that Debian's packages lack, of an archive's source.

    python tools/freethreaded.py [--folder FOLDER] [--package python3.14] [--source DEB_SRC_LINE]
    python tools/freethreaded.py --dsc URL [...]

Takes the source by `apt-get source` with lists of its own, so that apt checks its signature and
nothing of the system is changed, and builds it with --disable-gil into FOLDER
(build/python3.14t): minutes on two cores. tools/matrix.py looks for the Python there. Needs apt, a
C compiler and the -dev packages of what the standard library links (libssl, libffi, zlib, ...).
--dsc takes a version that a mirror no longer lists but still holds: the archive beside the .dsc at
URL, whose signature is checked with the package debian-keyring.
Where the source cannot be had it says `skipped:` and why, and the exit status is 77.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
KEYRING = "/usr/share/keyrings/debian-keyring.gpg"
SKIPPED = 77
DEBIAN = (
    "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    " http://deb.debian.org/debian forky main"
)


def skip(why: str) -> NoReturn:
    """End, saying why nothing was built."""
    print(f"skipped: {why}", flush=True)
    sys.exit(SKIPPED)


def run(*command: str | Path, **options: object) -> None:
    """Run a command that has to succeed."""
    print("+", *command, file=sys.stderr, flush=True)
    subprocess.run([str(part) for part in command], check=True, **options)  # type: ignore[call-overload]


def fetch(package: str, source: str, folder: Path) -> Path:
    """Get the upstream archive of a source package, or skip."""
    if shutil.which("apt-get") is None:
        skip("there is no apt-get")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "sources.list").write_text(f"{source}\n", encoding="utf-8")
    apt = ["apt-get", "-q", f"-oDir::Etc::SourceList={folder / 'sources.list'}"]
    apt += ["-oDir::Etc::SourceParts=/dev/null", f"-oDir::State::lists={folder / 'lists'}"]
    apt += [f"-oDir::Cache={folder / 'cache'}", "-oAPT::Sandbox::User="]
    try:
        run(*apt, "update", stdout=sys.stderr)
        # the upstream archive alone: Debian's changes are to its own packages
        run(*apt, "source", "--download-only", "--tar-only", package, cwd=folder, stdout=sys.stderr)
    except subprocess.CalledProcessError:
        skip(f"the source of {package} cannot be had, see above: --source names another archive")
    return next(folder.glob("*.orig.tar.*"))


def fetch_described(url: str, folder: Path) -> Path:
    """Get the upstream archive that a signed .dsc describes, or skip."""
    if shutil.which("gpgv") is None or not Path(KEYRING).exists():
        skip("--dsc needs gpgv and the keys of Debian's developers (package debian-keyring)")
    described = folder / "signed.dsc"
    plain = folder / "plain.dsc"
    try:
        urllib.request.urlretrieve(url, described)
        # what is read is what was signed, not what stands around it
        run("gpgv", "--keyring", KEYRING, "--output", plain, described)
        sums = plain.read_text(encoding="utf-8").partition("Checksums-Sha256:")[2]
        found = re.search(r"^ ([0-9a-f]{64}) \d+ (\S+\.orig\.tar\.\w+)$", sums, re.MULTILINE)
        if found is None:
            skip(f"{url} describes no upstream archive")
        archive = folder / Path(found[2]).name
        urllib.request.urlretrieve(f"{url.rpartition('/')[0]}/{archive.name}", archive)
    except (OSError, subprocess.CalledProcessError) as error:
        skip(f"the source of {url} cannot be had: {error}")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != found[1]:
        skip(f"{archive.name} is not what {url} describes: its SHA-256 is another")
    return archive


def build(archive: Path, folder: Path, prefix: Path) -> None:
    """Unpack, configure, build, install."""
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):
            packed.extractall(folder, filter="data")
        else:
            packed.extractall(folder)
    tree = next(path.parent for path in folder.glob("*/configure"))
    quiet = {"stdout": subprocess.DEVNULL}
    run("./configure", "--quiet", "--disable-gil", f"--prefix={prefix}", cwd=tree, **quiet)
    run("make", f"-j{os.cpu_count() or 1}", cwd=tree, **quiet)
    run("make", "install", cwd=tree, **quiet)


def main() -> int:
    """Build where there is none yet, and tell what it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", default="python3.14", help="the source package")
    parser.add_argument("--source", default=DEBIAN, help="a line as of apt's sources.list")
    parser.add_argument("--dsc", help="the address of a source package's .dsc, instead")
    parser.add_argument("--folder", type=Path, help="build/PACKAGEt by default")
    options = parser.parse_args()
    prefix = (options.folder or ROOT / "build" / f"{options.package}t").resolve()
    python = prefix / "bin" / f"{options.package}t"
    if not python.exists():
        with tempfile.TemporaryDirectory(prefix="fasthio-") as name:
            folder = Path(name)
            (folder / "tree").mkdir()
            if options.dsc:
                archive = fetch_described(options.dsc, folder)
            else:
                archive = fetch(options.package, options.source, folder)
            build(archive, folder / "tree", prefix)
    run(python, "-c", "import sys; print(sys.version); sys.exit(sys._is_gil_enabled())")
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
