"""The capsule noop_gray of capsules.go, in Python."""

import capstan


@capstan.capsule(name="noop_python", version=1, description="for the benchmark", output=capstan.finds("thing"), formats=["GRAY8"])
def nothing(frame):
    frame.gray()


if __name__ == "__main__":
    capstan.main()
