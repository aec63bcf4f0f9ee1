"""The README's capsule and its test run as they stand there."""

import os
import re
import types

import capstan.testing
import numpy as np


def test_readme():
    text = open(os.path.join(os.path.dirname(__file__), "../README.md")).read()
    program, test = re.findall(r"```python\n(.*?)```", text, re.S)
    assert text[: text.index(program)].count("\n") + program.count("\n") <= 30
    main = types.ModuleType("main")
    main.__file__ = "main.py"
    import sys

    sys.modules["main"] = main
    try:
        exec(program, main.__dict__)
        found = {}
        exec(test, found)
        found["test_black_is_dark"]()
        white = capstan.testing.Bench(main.DarkScene).process(np.full((36, 64), 255, np.uint8))
        assert white.added == []
    finally:
        del sys.modules["main"]
