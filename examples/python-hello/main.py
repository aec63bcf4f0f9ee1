"""Finds the brightest square of the picture: a capsule in Python, the twin of ../capsule-hello."""

import capstan


@capstan.capsule(
    name="detector_bright_spot_python",
    version=1,
    description="Finds the brightest square of the picture.",
    output=capstan.finds("bright_spot", extra_data=["confidence"]),
    formats=["GRAY8"],
)
class BrightSpot:
    side = capstan.option(32, "Side of the square, in pixels.", min=4, max=512)

    def process(self, frame):
        gray, side = frame.gray(), self.side  # the engine's own memory: read-only, not copied
        rows, columns = gray.shape[0] // side, gray.shape[1] // side
        if not rows or not columns:
            return  # the picture is smaller than the square
        squares = gray[: rows * side, : columns * side].reshape(rows, side, columns, side)
        sums = squares.sum(axis=(1, 3), dtype="uint32")
        y, x = divmod(int(sums.argmax()), columns)
        frame.add(
            "bright_spot",
            (x * side, y * side, (x + 1) * side, (y + 1) * side),
            confidence=sums[y, x] / (side * side * 255),
        )


if __name__ == "__main__":
    capstan.main()
