import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    """Tests are not started by an engine, even where the shell was."""
    for name in [n for n in os.environ if n.startswith("CAPSTAN_") and n not in ("CAPSTAN_TESTDATA", "CAPSTAN_MODELS", "CAPSTAN_CACHE")]:
        monkeypatch.delenv(name)
