"""A small stand-in for the interface ``vcap`` of OpenVisionCapsules, for tests: written from the
description of its behaviour, with its names, and nothing more of it than the tests need."""

import configparser
import enum
import hashlib
import importlib.abc
import importlib.machinery
import io
import os
import queue
import random
import re
import sys
import threading
import types
import zipfile
from concurrent.futures import Future

__version__ = "0.3.0+standin"


class CapsuleLoadError(Exception):
    def __init__(self, message, capsule_name=None):
        super().__init__(f"{capsule_name}: {message}" if capsule_name else message)


class IncompatibleCapsuleError(CapsuleLoadError):
    pass


class InvalidCapsuleError(CapsuleLoadError):
    pass


# Nodes.


class BoundingBox:
    def __init__(self, x1, y1, x2, y2):
        self.x1, self.y1, self.x2, self.y2 = x1, y1, x2, y2

    @property
    def rect(self):
        return self.x1, self.y1, self.x2, self.y2

    @property
    def width(self):
        return self.x2 - self.x1

    @property
    def height(self):
        return self.y2 - self.y1

    @property
    def center(self):
        return self.x1 + self.width / 2, self.y1 + self.height / 2

    def __eq__(self, other):
        return isinstance(other, BoundingBox) and self.rect == other.rect


def rect_to_coords(rect):
    x1, y1, x2, y2 = rect
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


class DetectionNode:
    def __init__(self, *, name, coords, attributes=None, children=None, encoding=None, track_id=None, extra_data=None):
        self.class_name, self.coords = name, coords
        self.attributes, self.children, self.extra_data = attributes or {}, children or [], extra_data or {}
        self.encoding, self.track_id = encoding, track_id
        self._bbox = None

    @property
    def bbox(self):
        if self._bbox is None:
            xs, ys = [p[0] for p in self.coords], [p[1] for p in self.coords]
            self._bbox = BoundingBox(min(xs), min(ys), max(xs), max(ys))
        return self._bbox


class NodeDescription:
    class Size(enum.Enum):
        NONE = 1
        SINGLE = 2
        ALL = 3

    def __init__(self, *, size, detections=None, attributes=None, encoded=False, tracked=False, extra_data=None):
        self.size, self.encoded, self.tracked = size, encoded, tracked
        self.detections, self.attributes, self.extra_data = detections or [], attributes or {}, extra_data or []


DETECTION_NODE_TYPE = object


# Options.


class Option:
    def __init__(self, default, description):
        self.default, self.description = default, description
        self.check(default)

    def check(self, value):
        raise NotImplementedError


class _Number(Option):
    def __init__(self, *, default, min_val, max_val, description=None):
        self.min_val, self.max_val = min_val, max_val
        super().__init__(default, description)

    def check(self, value):
        if not isinstance(value, self.kind):
            raise ValueError(f"want {self.kind.__name__}, got {type(value).__name__}")
        if (self.min_val is not None and value < self.min_val) or (self.max_val is not None and value > self.max_val):
            raise ValueError(f"{value} is out of range")


class FloatOption(_Number):
    kind = float


class IntOption(_Number):
    kind = int


class EnumOption(Option):
    def __init__(self, *, default, choices, description=None):
        self.choices = choices
        super().__init__(default, description)

    def check(self, value):
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class BoolOption(Option):
    def __init__(self, *, default, description=None):
        super().__init__(default, description)

    def check(self, value):
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is no bool")


class TextOption(Option):
    """Not in the public edition; others have it."""

    def __init__(self, *, default, description=None):
        super().__init__(default, description)

    def check(self, value):
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")


# Devices, state, backends.

_DEVICES = ["CPU:0"]


class DeviceMapper:
    def __init__(self, filter_func):
        self.filter_func = filter_func

    @staticmethod
    def map_to_all_gpus(cpu_fallback=True):
        def take(devices):
            gpus = [d for d in devices if d.startswith("GPU:")]
            return gpus or (["CPU:0"] if cpu_fallback else [])

        return DeviceMapper(take)

    @staticmethod
    def map_to_single_cpu():
        return DeviceMapper(lambda devices: [next(d for d in devices if d.startswith("CPU:"))])


class BaseStreamState:
    pass


class BatchExecutor:
    """Gathers what waits, at most 40, into one call of batch_fn."""

    def __init__(self, batch_fn, max_batch_size=40):
        self.batch_fn, self.max_batch_size = batch_fn, max_batch_size
        self.waiting = queue.Queue()
        self.worker = threading.Thread(target=self._work, daemon=True)
        self.worker.start()

    def submit(self, item):
        f = Future()
        self.waiting.put((f, item))
        return f

    def _work(self):
        while True:
            batch = [self.waiting.get()]
            while len(batch) < self.max_batch_size and not self.waiting.empty():
                batch.append(self.waiting.get())
            if any(b is None for b in batch):
                return
            futures = [f for f, _ in batch]
            try:
                for result in self.batch_fn([item for _, item in batch]):
                    futures.pop(0).set_result(result)
            except BaseException as e:
                for f in futures:
                    f.set_exception(e)

    def close(self):
        self.waiting.put(None)
        self.worker.join()


class BaseBackend:
    def __init__(self):
        self._batch_executor = BatchExecutor(self.batch_predict)

    def send_to_batch(self, item):
        return self._batch_executor.submit(item)

    @property
    def workload(self):
        return self._batch_executor.waiting.qsize()

    def batch_predict(self, items):
        raise NotImplementedError("there is no batch_predict")

    def close(self):
        self._batch_executor.close()


class BaseCapsule:
    stream_state = BaseStreamState
    description = ""
    device_mapper = DeviceMapper.map_to_all_gpus()
    options = {}
    backends = None

    def __init__(self, capsule_files, inference_mode=True):
        self._states = {}
        self._lock = threading.RLock()
        if inference_mode:
            devices = self.device_mapper.filter_func(_DEVICES)
            if not devices:
                raise EnvironmentError(f"there is no device for it; this machine has {_DEVICES}")
            self.backends = [type(self).backend_loader(capsule_files=capsule_files, device=d) for d in devices]

    def process_frame(self, frame, detection_node, options, state):
        with self._lock:
            random.shuffle(self.backends)
            backend = min(self.backends, key=lambda b: b.workload)
        return backend.process_frame(frame, detection_node, options, state)

    def get_state(self, stream_id):
        with self._lock:
            return self._states.setdefault(stream_id, self.stream_state())

    def clean_up(self, stream_id):
        with self._lock:
            self._states.pop(stream_id, None)

    def close(self):
        for b in self.backends or ():
            b.close()
        self.backends = None


# Loading.


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports below the capsule's own name from the files of its package."""

    def __init__(self, name, files, folder):
        self.name, self.files, self.folder = name, files, folder

    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] != self.name:
            return None
        if fullname == self.name:
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        at = "/".join(fullname.split(".")[1:])
        if at + "/" in self.files:
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        if at + ".py" in self.files:
            return importlib.machinery.ModuleSpec(fullname, self)
        raise ImportError(f"the capsule has no {at}")

    def exec_module(self, module):
        at = "/".join(module.__name__.split(".")[1:]) + ".py"
        exec(compile(self.files[at], os.path.join(self.folder, at), "exec"), module.__dict__)


def load_capsule_from_bytes(data, source_path=None, key=None, inference_mode=True):
    name = "capsule_" + hashlib.sha256(data).hexdigest()
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        files = {n: z.read(n) for n in z.namelist()}
    for needed in ("capsule.py", "meta.conf"):
        if needed not in files:
            raise InvalidCapsuleError(f"there is no {needed}")
    meta = configparser.ConfigParser()
    meta.read_string(files["meta.conf"].decode())
    if meta["about"]["api_compatibility_version"] != "0.3":
        raise IncompatibleCapsuleError("it is for another version")
    code = files.pop("capsule.py")
    module = types.ModuleType(name)
    module.__package__ = name
    finder = _Finder(name, files, str(source_path or "/"))
    sys.meta_path.insert(1, finder)
    try:
        exec(compile(code, os.path.join(finder.folder, "capsule.py"), "exec"), module.__dict__)
    except Exception as e:
        raise InvalidCapsuleError(f"the code failed: {e}") from e
    finally:
        sys.meta_path.remove(finder)
    c = module.Capsule(capsule_files=files, inference_mode=inference_mode)
    if re.fullmatch(r"\w+", c.name, re.ASCII) is None or not isinstance(c.version, int):
        c.close()
        raise InvalidCapsuleError("its name or version cannot be", c.name)
    if not issubclass(c.stream_state, BaseStreamState):
        c.close()
        raise InvalidCapsuleError("its stream_state is no state", c.name)
    return c
