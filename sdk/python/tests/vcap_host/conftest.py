import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def _forget():
    for name in [n for n in sys.modules if n == "vcap" or n.startswith(("vcap.", "capsule_"))]:
        del sys.modules[name]


@pytest.fixture
def no_vcap(monkeypatch):
    """An interpreter without the package."""
    _forget()
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p or ".") / "vcap" / "__init__.py").is_file()])
    yield
    _forget()


@pytest.fixture
def standin(no_vcap, monkeypatch):
    """The stand-in as the user's package vcap."""
    monkeypatch.syspath_prepend(str(HERE / "standin"))
    import vcap

    return vcap


@pytest.fixture(params=["standin", "real"])
def vcap(request):
    """The package that capsules are written for: the stand-in, and the real one where it is."""
    if request.param == "standin":
        yield request.getfixturevalue("standin")
        return
    _forget()
    spec = importlib.util.find_spec("vcap")
    if spec is None or spec.origin is None:
        pytest.skip(f"SKIPPED: {sys.executable} has no package vcap to hold the stand-in against (pip install vcap vcap_utils)")
    import vcap

    yield vcap
    _forget()
