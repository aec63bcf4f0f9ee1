"""What can be said of an old capsule's code without running it."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

WORKS, LIMITS, CANNOT = "works", "limits", "cannot"


class Finding(NamedTuple):
    """One thing that import says of a capsule."""

    level: str  # WORKS, LIMITS or CANNOT
    about: str
    words: str


NETWORK = {"requests", "urllib", "urllib3", "http", "httpx", "aiohttp", "socket", "ftplib", "smtplib", "websocket", "websockets", "paho", "pika", "redis", "kafka", "boto3", "openai", "anthropic", "grpc", "zmq"}  # fmt: skip
PROCESSES = {"subprocess", "multiprocessing"}
CLOCKS = {("time", "time"), ("time", "monotonic"), ("time", "perf_counter"), ("datetime", "now"), ("datetime", "utcnow")}
OLD_TENSORFLOW = {"Session", "placeholder", "GraphDef", "ConfigProto", "GPUOptions", "contrib", "gfile", "get_default_graph", "global_variables_initializer"}

_FOLDERS = re.compile(r"/(home|root|data|mnt|media|srv|var|tmp|etc|Users|models|storage|run)(/|\Z)")


class _Code(ast.NodeVisitor):
    """Gathers from one file what findings are made of."""

    def __init__(self, name: str, tree: ast.AST):
        self.name = name
        self.imports: List[Tuple[str, int, bool]] = []  # module, line, whether it may be missing
        self.uses: List[Tuple[str, str, int]] = []  # owner, attribute, line
        self.texts: List[Tuple[str, int]] = []
        self.opens: List[Tuple[str, int]] = []  # the text that open got, "" where it is no text
        self.classes: List[Tuple[str, List[str]]] = []
        self.names: Set[str] = set()
        self._lenient = 0
        self.visit(tree)

    def visit_Try(self, node: ast.Try) -> None:
        caught = any(h.type is None or any(isinstance(n, ast.Name) and n.id in ("ImportError", "ModuleNotFoundError", "Exception") for n in ast.walk(h.type)) for h in node.handlers)
        self._lenient += caught
        for n in node.body:
            self.visit(n)
        self._lenient -= caught
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)

    def visit_Import(self, node: ast.Import) -> None:
        self.imports += [(a.name, node.lineno, self._lenient > 0) for a in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module:
            self.imports.append((node.module, node.lineno, self._lenient > 0))
            self.uses += [(node.module, a.name, node.lineno) for a in node.names]
        self.names |= {a.name for a in node.names}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.names.add(node.name)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.classes.append((node.name, [_dotted(b).split(".")[-1] for b in node.bases]))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if _dotted(node.test).split(".")[-1] == "TYPE_CHECKING":
            return
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.uses.append((_dotted(node.value), node.attr, node.lineno))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.append((node.value, node.lineno))

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring says nothing
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _dotted(node.func) == "open" and node.args:
            first = node.args[0]
            self.opens.append((first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "", node.lineno))
        self.generic_visit(node)


def _dotted(node: Any) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


def sources(folder: str) -> Iterator[Tuple[str, str]]:
    """Path in the folder and on disk of every file with code, in order."""
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for f in sorted(files):
            if f.endswith(".py"):
                path = os.path.join(base, f)
                yield os.path.relpath(path, folder).replace(os.sep, "/"), path


def scan(folder: str, needs: Optional[Mapping[str, Any]] = None) -> Tuple[List[Finding], Set[str]]:
    """Findings of the code in a folder that is given these needs, and the names that it uses, which
    may tell the metric of an encoder."""
    found: List[Finding] = []
    codes: List[_Code] = []
    for name, path in sources(folder):
        try:
            with open(path, "rb") as f:
                codes.append(_Code(name, ast.parse(f.read(), name)))
        except (SyntaxError, ValueError, RecursionError) as e:
            why = f"{e.msg}, line {e.lineno}" if isinstance(e, SyntaxError) else str(e)
            found.append(Finding(CANNOT if name == "capsule.py" else LIMITS, "code", f"{name} is no code for Python {sys.version_info[0]}.{sys.version_info[1]}: {why}"))
    own = {n.split("/")[0].removesuffix(".py") for n, _ in sources(folder)}
    found += _imports(codes, own)
    found += _machine(codes, needs or {})
    found += _state(codes)
    found += _requirements(os.path.join(folder, "requirements.txt"))
    words = {a for c in codes for a in c.names | {a for _, a, _ in c.uses}}
    return found, words


def _where(c: _Code, line: int) -> str:
    return f"{c.name}:{line}"


def _first(items: Iterable[Tuple[str, str]]) -> Dict[str, str]:
    """The first place of each thing."""
    out: Dict[str, str] = {}
    for what, where in items:
        out.setdefault(what, where)
    return out


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _imports(codes: List[_Code], own: Set[str]) -> Iterator[Finding]:
    """Packages that the code imports and the interpreter does not have."""
    must: List[Tuple[str, str]] = []
    may: List[Tuple[str, str]] = []
    for c in codes:
        for module, line, lenient in c.imports:
            top = module.split(".")[0]
            if top != "vcap" and top not in own and top not in sys.builtin_module_names and not _there(top):
                (may if lenient else must).append((top, _where(c, line)))
    missing = _first(must)
    for top, where in missing.items():
        yield Finding(CANNOT, "packages", f"{where} imports {top}, which {sys.executable} does not have: {sys.executable} -m pip install {_package(top)}")
    for top, where in _first(may).items():
        if top not in missing:
            yield Finding(LIMITS, "packages", f"{where} would use {top}, which {sys.executable} does not have; the code goes on without it")


def _package(module: str) -> str:
    return {"cv2": "opencv-python-headless", "sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}.get(module, module)


def _machine(codes: List[_Code], needs: Mapping[str, Any]) -> Iterator[Finding]:
    """What the code wants of the machine that its cage refuses unless the manifest has it."""
    net = _first((m.split(".")[0], _where(c, line)) for c in codes for m, line, _ in c.imports if m.split(".")[0] in NETWORK)
    for top, where in net.items() if not needs.get("network") else ():
        yield Finding(LIMITS, "network", f"{where} imports {top}: connections are refused unless import --network names the hosts")
    for top, where in _first((m.split(".")[0], _where(c, line)) for c in codes for m, line, _ in c.imports if m.split(".")[0] in PROCESSES).items():
        yield Finding(LIMITS, "processes", f"{where} imports {top}: what runs in another process does not see the frames and state of this one, and ends with it")
    given = [*needs.get("files", ()), *needs.get("writes", ())]
    for path, where in _first((t, _where(c, line)) for c in codes for t, line in c.texts if _FOLDERS.match(t) and "\n" not in t and not _within(t, given)).items():
        yield Finding(LIMITS, "files", f"{where} names {path}: files outside the package are refused unless import --file names them (under /tmp only TMPDIR may be written)")
    for path, where in _first((t, _where(c, line)) for c in codes for t, line in c.opens if not t.startswith("/")).items():
        what = f"opens {path!r}" if path else "opens files by names that it makes"
        yield Finding(LIMITS, "files", f"{where} {what}: the working folder is the engine's, not the capsule's; files of the package come in capsule_files")
    tf = _first((a, _where(c, line)) for c in codes for owner, a, line in c.uses if a in OLD_TENSORFLOW and owner.split(".")[0] in ("tf", "tensorflow") and "compat" not in owner)
    version = _version("tensorflow")
    if tf and version and not version.startswith(("0.", "1.")):
        a, where = next(iter(tf.items()))
        level = CANNOT if "contrib" in tf else LIMITS
        yield Finding(level, "tensorflow", f"{where} uses tf.{a} of TensorFlow 1, and {sys.executable} has {version}")


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == f or path.startswith(f.rstrip("/") + "/") for f in folders)


def _state(codes: List[_Code]) -> Iterator[Finding]:
    """Time and state that do not cross to here."""
    clocks = _first((f"{o}.{a}", _where(c, line)) for c in codes for o, a, line in c.uses if (o.split(".")[-1], a) in CLOCKS)
    for call, where in list(clocks.items())[:1]:
        yield Finding(LIMITS, "time", f"{where} measures time by {call}: that is the clock on the wall, not the video's; on files, and when it is late, it differs")
    stateful = any("StreamState" in b for c in codes for _, bases in c.classes for b in bases)
    rpc = _first((m, _where(c, line)) for c in codes for m, line, _ in c.imports if "rpc_process" in m)
    rpc.update(_first((b, c.name) for c in codes for _, bases in c.classes for b in bases if "Rpc" in b or "RPC" in b))
    for what, where in list(rpc.items())[:1]:
        words = f"{where} uses {what}, which pickles every frame, node and state into another process"
        if stateful:
            yield Finding(CANNOT, "state", f"{words}: what its state learns there is lost")
        else:
            yield Finding(LIMITS, "state", f"{words}; it works, slowly")
    pickles = _first((m, _where(c, line)) for c in codes for m, line, _ in c.imports if m in ("pickle", "cPickle", "dill", "shelve"))
    for module, where in pickles.items():
        yield Finding(LIMITS, "state", f"{where} imports {module}: state that is kept in files is not carried over, and its folder is refused unless import --file names it for writing")


def _version(package: str) -> str:
    try:
        from importlib.metadata import version

        return version(package)
    except Exception:
        return ""


def _requirements(path: str) -> Iterator[Finding]:
    """The lines of requirements.txt that the interpreter does not meet."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
    except OSError:
        return
    for line in lines:
        line = line.split("#")[0].split(" --")[0].strip()
        m = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*(.*)\Z", line)
        if not line or line.startswith("-") or not m:
            continue
        name, wanted = m.group(1), m.group(3).split(";")[0].strip()
        if name.lower().replace("_", "-") in ("vcap", "vcap-utils") and not wanted:
            continue
        have = _version(name)
        if not have:
            yield Finding(LIMITS, "requirements", f"requirements.txt asks for {line}, which {sys.executable} does not have: {sys.executable} -m pip install '{line}'")
        elif wanted and not _meets(have, wanted):
            yield Finding(LIMITS, "requirements", f"requirements.txt asks for {line}, and {sys.executable} has {have}")


def _meets(have: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        try:
            from pip._vendor.packaging.specifiers import SpecifierSet  # type: ignore[no-redef]
        except ImportError:
            return True  # nobody can say
    try:
        return bool(SpecifierSet(wanted).contains(have, prereleases=True))
    except ValueError:
        return True


def metric(words: Set[str]) -> Optional[str]:
    """The metric that the code of an encoder seems to use, None where that is not to be seen."""
    cosine, euclidean = (any(re.match(k, w, re.I) for w in words) for k in ("cosine", "euclid[ei]an"))
    if cosine == euclidean:
        return None
    return "cosine" if cosine else "euclidean"
