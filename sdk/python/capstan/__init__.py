"""Write capsules for Capstan in Python.

::

    import capstan

    @capstan.capsule(
        name="detector_dark_scene", version=1, description="Says when it is dark.",
        output=capstan.finds("dark_scene", extra_data=["confidence"]),
        formats=["GRAY8"],
    )
    class DarkScene:
        limit = capstan.option(0.2, "Mean brightness below which it is dark.", min=0, max=1)

        def process(self, frame):
            mean = frame.gray().mean() / 255
            if mean < self.limit:
                frame.add("dark_scene", (0, 0, frame.width, frame.height), confidence=1 - mean)

    if __name__ == "__main__":
        capstan.main()
"""

from ._serve import guard_stdout as _guard_stdout

_guard_stdout()

from ._command import main  # noqa: E402
from .declare import Capsule, Description, Gate, Model, Needs, Picture, capsule, each, every, finds  # noqa: E402
from .faults import CapsuleError, ExpiredError, FormatError  # noqa: E402
from .frame import Box, Frame, Layout, Node, Plane, rect  # noqa: E402
from .models import model  # noqa: E402
from .options import Option, Options, option  # noqa: E402
from ._version import VERSION as __version__  # noqa: E402


__all__ = [
    "Box",
    "Capsule",
    "CapsuleError",
    "Description",
    "ExpiredError",
    "FormatError",
    "Frame",
    "Gate",
    "Layout",
    "Model",
    "Needs",
    "Node",
    "Option",
    "Options",
    "Picture",
    "Plane",
    "capsule",
    "each",
    "every",
    "finds",
    "main",
    "model",
    "option",
    "rect",
]
