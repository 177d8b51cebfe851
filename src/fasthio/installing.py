"""Put fasthio's client in the place of hio's, and take it out again.

The names inside hio's module objects are changed, not the module objects: a
program that took `hio.core.http.clienting` into a variable long before is served
too. `hio.core.http.httping` and `hio.core.tcp` stay as they are.
"""

from __future__ import annotations

import importlib
import sys
from _thread import RLock, get_ident

TYPE_CHECKING = False  # see __init__; neither typing nor threading: a .pth may bring this in
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from dis import Instruction
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any, Final

__all__ = ["NAMES", "install", "installed", "uninstall"]

#: What is replaced: the public names of hio's client module.
NAMES: Final = (
    "Response",
    "Requester",
    "Respondent",
    "openClient",
    "Client",
    "backendRequest",
    "ClientDoer",
)

_PACKAGE: Final = "hio.core.http"
_THEIRS: Final = "hio.core.http.clienting"
_OURS: Final = "fasthio.clienting"

#: What follows the name of a class of hio's where it finds itself while ours has that name:
#: not to be written in a program.
_OWN: Final = " of hio"

_lock = RLock()
_pairs: list[tuple[Any, Any]] = []  # (hio's object, ours) while installed
_renamed: list[tuple[Any, Any]] = []  # (function of hio's, its code) while installed
_watcher: _Watcher | None = None  # while waiting for hio to be imported


def install(*, lazy: bool = False) -> None:
    """Make every import of hio's HTTP client give fasthio's from now on.

    Calling it again changes nothing. Names that a module copied out of hio before
    (`from hio.core.http import Client`) stay hio's: install first, or use
    `fasthio run` or a `.pth` file.

    Args:
        lazy: wait until the program imports `hio.core.http`, and import neither
            hio nor the client before; without effect when it is imported already.
    Raises:
        ImportError: hio or the engine asked for cannot be imported; when lazy, the
            import of hio raises it.
    """
    global _watcher
    with _lock:
        if _pairs:
            return
        if lazy and _PACKAGE not in sys.modules:
            if _watcher is None:
                _watcher = _Watcher()
                sys.meta_path.insert(0, _watcher)
            return
        _swap_in()


def uninstall() -> None:
    """Give hio's modules their own names back; harmless when not installed.

    Clients made meanwhile live on, and names that a program copied out stay ours.
    """
    with _lock:
        _unwatch()
        _exchange([(ours, theirs) for theirs, ours in _pairs])
        _drop_aliases()
        _pairs.clear()


def installed() -> bool:
    """Tell whether an import of hio's client gives fasthio's, at once or when it comes."""
    return bool(_pairs) or _watcher is not None


def _swap_in() -> None:
    theirs = importlib.import_module(_THEIRS)
    ours = importlib.import_module(_OURS)
    pairs = [(getattr(theirs, name), getattr(ours, name)) for name in NAMES]
    pairs = [(old, new) for old, new in pairs if old is not new]
    for old, _ in pairs:
        _set_alias(theirs, old)
    _exchange(pairs)
    _pairs.extend(pairs)
    _unwatch()


def _exchange(pairs: list[tuple[Any, Any]]) -> None:
    """Replace the first of each pair by the second in all of hio's modules.

    hio re-exports its client, so the names are looked for by identity: whatever
    else a module holds under the same name, such as hio's TCP client, is left.
    """
    if not pairs:
        return
    news = {id(old): new for old, new in pairs}
    for module_name, module in list(sys.modules.items()):
        if module_name != "hio" and not module_name.startswith("hio."):
            continue
        for name, value in list(vars(module).items()):
            if id(value) in news and not name.endswith(_OWN):
                setattr(module, name, news[id(value)])


def _set_alias(module: ModuleType, theirs: Any) -> None:
    """Let a class of hio's find itself under another name.

    Its methods say `super(Respondent, self)`, and what has that name is ours from now
    on. Instances and subclasses that a program made before are hio's, and go on.
    """
    if not isinstance(theirs, type):
        return
    name = theirs.__name__
    alias = name + _OWN
    for function in vars(theirs).values():
        code = getattr(function, "__code__", None)
        if (
            code is None
            or getattr(function, "__globals__", None) is not vars(module)
            or not {name, "super"} <= set(code.co_names)
            or any(
                each.argval == name and each.opname != "LOAD_GLOBAL" for each in _instructions(code)
            )
        ):
            continue  # none of hio's, or it does not name itself
        setattr(module, alias, theirs)
        _renamed.append((function, code))
        names = tuple(alias if each == name else each for each in code.co_names)
        function.__code__ = code.replace(co_names=names)


def _instructions(code: CodeType) -> Iterable[Instruction]:
    import dis  # not at the top: a .pth may bring this module in

    return dis.get_instructions(code)


def _drop_aliases() -> None:
    """Undo `_set_alias`, once hio's names are hio's again."""
    while _renamed:
        function, code = _renamed.pop()
        function.__code__ = code
        for name in code.co_names:
            function.__globals__.pop(name + _OWN, None)


def _unwatch() -> None:
    global _watcher
    if _watcher is not None:
        if _watcher in sys.meta_path:
            sys.meta_path.remove(_watcher)
        _watcher = None


class _Watcher:
    """Wait for the first import of `hio.core.http`, then install.

    fasthio's own modules import hio too. Were the client imported from within one
    of them, it would meet a half-made module; so while any of them is being
    imported in this thread the work waits for the outermost one to be done.
    """

    def __init__(self) -> None:
        self.depths: dict[int, int] = {}  # by thread

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a module as the other finders do, and be told when it is executed."""
        own = fullname.startswith("fasthio.")
        if fullname != _PACKAGE and not own:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    # all of a Loader that is asked for; importlib.abc costs each start 10 ms
                    spec.loader = _Notifier(spec.loader, self, own)  # type: ignore[assignment]
                return spec
        return None

    def began(self) -> None:
        """Note that one of fasthio's modules is being executed in this thread."""
        self.depths[get_ident()] = self.depth + 1

    def ended(self) -> None:
        """Note that it is no longer."""
        depth = self.depth - 1
        if depth > 0:
            self.depths[get_ident()] = depth
        else:
            self.depths.pop(get_ident(), None)

    @property
    def depth(self) -> int:
        """Give how many of fasthio's modules are being executed in this thread."""
        return self.depths.get(get_ident(), 0)

    def settle(self) -> None:
        """Install, once `hio.core.http` is there and nothing of ours is half made."""
        if self.depth or _PACKAGE not in sys.modules:
            return
        with _lock:
            if _watcher is self and not _pairs:
                self.began()  # what the client imports comes back here: not again
                try:
                    _swap_in()
                finally:
                    self.ended()


class _Notifier:
    """Stand for a loader until its module is executed."""

    def __init__(self, loader: Any, watcher: _Watcher, own: bool) -> None:
        self.loader = loader
        self.watcher = watcher
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as its loader does."""
        module: ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Hand the module to its loader, for good, then see whether to install."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        if not self.own:
            self.loader.exec_module(module)
        else:
            self.watcher.began()
            try:
                self.loader.exec_module(module)
            finally:
                self.watcher.ended()
        self.watcher.settle()

    def __getattr__(self, name: str) -> Any:
        """Answer for the loader in all else."""
        return getattr(self.loader, name)
