"""A stand-in for the vendor's Python client, after what the wire contract says of it: one connection
a call, answers opened in streaming mode, Basic and then the cookie alone, errors by title, every key
of an object required, enums and UUIDs checked, the status stream split at CR LF.

Usage: client.py URL   runs the acceptance story and prints "story: ok".
"""
import datetime
import json
import sys
import threading
import time
import uuid

import requests


class APIError(Exception):
    def __init__(self, kind, text, status=None):
        super().__init__(f"{kind}: {text}")
        self.kind, self.status = kind, status


# The kinds that the client maps; any other title is an UnknownError.
KINDS = set("""
UnknownError InvalidSyntaxError InvalidFormatError NotImplementedError UnauthorizedError InvalidSessionError
InsufficientRoleError StreamConfigNotFoundError StreamNotOpenedError DuplicateStreamSourceError
AnalysisLimitExceededError InvalidRuntimeOptionError ZoneNotFoundError ZoneNotDeletableError ZoneNotEditableError
DuplicateZoneNameError ZoneAlarmNotFoundError AlertNotFoundError FrameNotFoundForAlertError StorageNotFoundError
IdentityNotFoundError DuplicateIdentityNameError EncodingNotFoundError ImageNotFoundForIdentityError
InvalidImageTypeError NoDetectorForClassError NoEncoderForClassError NoDetectionsInImageError
TooManyDetectionsInImageError ImageAlreadyEncodedError DuplicateVectorError VectorTooLongError PluginNotFoundError
InvalidPluginOptionError InvalidCapsuleError IncompatibleCapsuleError PremisesNotFoundError UserNotFoundError
DuplicateUsernameError AdminMustExistError LicenseRequiredError LicenseExpiredError LicenseInvalidError
RemoteConnectionError UnauthorizedTokensError CloudUserNotFoundError
""".split())

# What an object must look like: a type, {key: shape}, [shape], ("map", shape), ("enum", words), ("null", shape),
# "any", or a function that fails on what is wrong.
NUMBER = (int, float)


def null(shape):
    return ("null", shape)


def enum(*words):
    return ("enum", words)


def clock(text):
    datetime.datetime.strptime(text, "%H:%M:%S")


def day(text):
    datetime.datetime.strptime(text, "%Y-%m-%d")


def pixel(n):
    assert type(n) is int, f"{n!r} is no whole pixel"


POINTS = [[pixel]]
ANCHOR = enum("bottom", "top", "left", "right", "center")
ATTRIBUTE = null({"category": str, "value": str})
STREAM = {"id": int, "name": str, "premises_id": null(int), "connection_type": enum("ip_camera", "webcam", "file"),
          "connection_options": ("map", "any"), "runtime_options": ("map", "any"), "metadata": ("map", "any")}
COUNT = {"id": int, "test": enum(">", "<", "=", "!="), "check_value": int, "with_class_name": str,
         "with_attribute": ATTRIBUTE, "window_duration": NUMBER, "window_threshold": NUMBER, "intersection_point": ANCHOR}
RATE = {"id": int, "test": enum(">=", "<="), "duration": NUMBER, "change": NUMBER,
        "direction": enum("entering", "exiting", "entering_or_exiting"), "with_class_name": str,
        "with_attribute": ATTRIBUTE, "intersection_point": ANCHOR}
ALARM = {"id": int, "name": str, "zone_id": int, "stream_id": int, "use_active_time": bool, "active_start_time": clock,
         "active_end_time": clock, "count_conditions": [COUNT], "rate_conditions": [RATE]}
ZONE = {"id": int, "name": str, "stream_id": int, "coords": null(POINTS), "alarms": [ALARM]}
ALERT = {"id": int, "alarm_id": int, "zone_id": int, "stream_id": int, "start_time": NUMBER, "end_time": null(NUMBER),
         "verified_as": null(bool)}
IDENTITY = {"id": int, "unique_name": str, "nickname": null(str), "metadata": ("map", "any")}
DETECTION = {"class_name": str, "coords": POINTS, "attributes": ("map", str), "with_identity": null(IDENTITY),
             "extra_data": ("map", "any"), "track_id": null(uuid.UUID)}
DETECTION["children"] = [DETECTION]
STATUS = {"zone": ZONE, "tstamp": NUMBER, "total_entered": ("map", int), "total_exited": ("map", int),
          "within": [DETECTION], "entering": [DETECTION], "exiting": [DETECTION], "alerts": [ALERT]}
STATUSES = ("map", ("map", STATUS))
NODES = {"size": enum("none", "single", "all"), "detections": [str], "attributes": ("map", [str]), "encoded": bool,
         "tracked": bool, "extra_data": [str]}
OPTION = {"type": enum("float", "int", "enum", "bool", "str"), "default": "any", "constraints": ("map", "any"),
          "description": null(str)}
CAPSULE = {"name": str, "version": int, "description": str, "input_type": NODES, "output_type": NODES,
           "capability": NODES, "options": ("map", OPTION)}
ENCODING = {"id": int, "identity_id": int, "class_name": str, "from_image": null(int), "vector": [NUMBER]}
PREMISES = {"id": int, "name": str}
USER = {"id": int, "username": str, "password": null(str), "role": enum("editor", "admin")}
LICENSE = {"state": enum("valid", "invalid", "expired", "missing"),
           "terms": null({"online_checkin": bool, "max_streams": int, "journal_max_allowed_age": NUMBER,
                          "expiration_date": null(day)})}


def check(shape, value, at="answer"):
    """Fails on what the client would fail on, and on wrong types that it would pass on."""
    if shape == "any":
        return value
    if isinstance(shape, tuple) and shape and shape[0] == "null":
        return None if value is None else check(shape[1], value, at)
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{at}: {value!r} is no object"
        for key, s in shape.items():
            assert key in value, f"{at}: no key {key}"
            check(s, value[key], f"{at}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{at}: {value!r} is no list"
        for i, v in enumerate(value):
            check(shape[0], v, f"{at}[{i}]")
    elif isinstance(shape, tuple) and shape[0] == "map":
        assert isinstance(value, dict), f"{at}: {value!r} is no object"
        for k, v in value.items():
            check(shape[1], v, f"{at}.{k}")
    elif isinstance(shape, tuple) and shape[0] == "enum":
        assert value in shape[1], f"{at}: {value!r} is not one of {shape[1]}"
    elif isinstance(shape, (type, tuple)) and shape is not uuid.UUID:
        assert isinstance(value, shape) and (shape is bool or not isinstance(value, bool)), f"{at}: {value!r} is no {shape}"
    else:
        shape(value)
    return value


class Client:
    def __init__(self, url, credentials=None):
        self.url, self.credentials, self.session, self.logins = url, credentials, None, 0

    def call(self, method, path, json_body=None, data=None, mime=None, params=None, files=None, timeout=30):
        """Sends as the client does, and gives the answer with its body unread."""
        if json_body is not None:
            data, mime = json.dumps(json_body[0]).encode(), "application/json"
        headers = {"content-type": mime} if mime else None
        request = requests.Request(method, self.url + path, params=params, data=data, headers=headers, files=files)
        if self.credentials and self.session:
            request.cookies = {"session_id": self.session}
            try:
                return self.send(request, timeout)
            except APIError as e:
                if e.kind != "InvalidSessionError":
                    raise
                request.cookies = None
        if self.credentials:
            request.auth = self.credentials
        answer = self.send(request, timeout)
        if self.credentials and "session_id" in answer.cookies:
            self.session = answer.cookies["session_id"]
            self.logins += 1
        return answer

    @staticmethod
    def send(request, timeout):
        try:
            answer = requests.Session().send(request.prepare(), stream=True, timeout=timeout)
        except requests.exceptions.RequestException as e:
            raise APIError("ServerNotReady", e) from e
        if answer.ok:
            return answer
        body = answer.content
        if not body:
            raise APIError("UnknownError", "empty body")
        if answer.status_code == 502:
            raise APIError("ServerNotReady", body, 502)
        try:
            error = json.loads(body)
        except ValueError:
            raise APIError("UnknownError", body, answer.status_code)
        kind, text = error["title"], error["description"]
        raise APIError(kind if kind in KINDS else "UnknownError", text, answer.status_code)

    def json(self, method, path, shape, body=None, **kw):
        answer = self.call(method, path, json_body=None if body is None else (body,), **kw)
        content = answer.content
        return check(shape, json.loads(content) if content else None, f"{method} {path}")

    def get(self, path, shape, **params):
        return self.json("GET", path, shape, params=params)

    def post(self, path, shape, body):
        return self.json("POST", path, shape, body)

    def put(self, path, body):
        answer = self.call("PUT", path, json_body=(body,))
        return json.loads(answer.content) if answer.content else None

    def delete(self, path, **params):
        self.call("DELETE", path, params=params, timeout=120)  # the body is never read

    def statuses(self, timeout=10):
        """Gives packets; fails with ServerNotReady when the stream breaks off, with RuntimeError when it ends."""
        lines = self.call("GET", "/api/streams/statuses", timeout=timeout).iter_lines(delimiter=b"\r\n")
        while True:
            try:
                packet = next(lines)
            except StopIteration as e:
                raise RuntimeError("the stream ended as if it were complete") from e
            except requests.exceptions.RequestException as e:
                raise APIError("ServerNotReady", e) from e
            if packet:
                yield check(STATUSES, json.loads(packet), "statuses")

    def wait_for_initialization(self, timeout=30):
        until = time.time() + timeout
        while True:
            try:
                return self.get("/api/version", str)
            except APIError as e:
                if e.kind not in ("ServerNotReady", "UnauthorizedError") or time.time() > until:
                    raise
            time.sleep(0.02)


class Receiver(threading.Thread):
    """The status receiver: it reconnects after ServerNotReady, and dies of everything else."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.latest, self.packets, self.connections, self.died = client, {}, 0, 0, None
        self.start()

    def run(self):
        while True:
            try:
                self.connections += 1
                for packet in self.client.statuses():
                    for zones in packet.values():
                        if zones:
                            stamps = {s["tstamp"] for s in zones.values()}
                            assert len(stamps) == 1 and "Screen" in zones, f"{stamps} {list(zones)}"
                    self.latest = packet
                    self.packets += 1
            except APIError as e:
                if e.kind != "ServerNotReady":
                    self.died = e
                    return
                time.sleep(0.05)
            except BaseException as e:  # whatever it is, it is the end of the thread
                self.died = e
                return

    def wait(self, what, holds, timeout=30):
        until = time.time() + timeout
        while not holds(self.latest):
            assert self.died is None, f"the receiver died: {self.died!r}"
            assert time.time() < until, f"not seen in time: {what}; latest {self.latest}"
            time.sleep(0.01)
        return self.latest


def fails(kind, call, *args, **kw):
    try:
        call(*args, **kw)
    except APIError as e:
        assert e.kind == kind, f"{e.kind}, want {kind}: {e}"
        return
    raise AssertionError(f"no {kind}")


def alarm(name, **conditions):
    return {"id": None, "name": name, "zone_id": None, "stream_id": None, "use_active_time": False,
            "active_start_time": "00:00:00", "active_end_time": "23:59:59", "count_conditions": [], "rate_conditions": [],
            **conditions}


COUNT_ONE = {"id": None, "test": ">", "check_value": 0, "with_class_name": "face", "with_attribute": None,
             "window_duration": 5.0, "window_threshold": 0.5, "intersection_point": "bottom"}


def upload(c, data, mime="application/octet-stream"):
    return check(int, json.loads(c.call("POST", "/api/storage", data=data, mime=mime).content))


class Progress:
    """A file as the desktop client uploads it: parts that are read one by one, of a length that is known."""
    def __init__(self, parts):
        self.parts = parts

    def __len__(self):
        return sum(map(len, self.parts))

    def __iter__(self):
        return iter(self.parts)


def setup(c):
    """Uploads a clip, makes a stream of it, draws on it, and analyses it."""
    clip = upload(c, Progress([b"clip" * 25000, b"clip" * 25000]))
    assert c.call("GET", f"/api/storage/{clip}").content == b"clip" * 50000
    chunked = upload(c, (part for part in [b"a", b"b" * 70000]), "video/mp4")
    answer = c.call("GET", f"/api/storage/{chunked}")
    assert answer.headers["content-type"] == "video/mp4" and answer.content == b"a" + b"b" * 70000
    fails("InvalidFormatError", upload, c, b"")
    config = {"id": None, "name": "Clip", "premises_id": None, "connection_type": "file",
              "connection_options": {"storage_id": clip, "transcode": True}, "runtime_options": {}, "metadata": {"größe": [1, None]}}
    s = c.post("/api/streams", STREAM, config)
    assert s == {**config, "id": s["id"]}, s
    fails("DuplicateStreamSourceError", c.post, "/api/streams", STREAM, config)
    screen, = c.get("/api/zones", [ZONE], stream_id=s["id"])
    assert screen["name"] == "Screen" and screen["coords"] is None
    fails("ZoneNotDeletableError", c.delete, f"/api/zones/{screen['id']}")
    assert "POST" not in c.call("OPTIONS", f"/api/zones/{screen['id']}").headers["allow"]
    line = c.post("/api/zones", ZONE, {"id": None, "name": "Line", "stream_id": s["id"], "coords": [[0, 50], [100, 50]], "alarms": []})
    region = c.post("/api/zones", ZONE, {"id": None, "name": "Hall", "stream_id": s["id"], "coords": [[0, 0], [90, 0], [90, 90]],
                                         "alarms": [alarm("Face", count_conditions=[COUNT_ONE])]})
    assert region["alarms"][0]["zone_id"] == region["id"] and region["alarms"][0]["stream_id"] == s["id"]
    assert "POST" in c.call("OPTIONS", f"/api/zones/{line['id']}").headers["allow"]
    assert c.put(f"/api/streams/{s['id']}/analyze", True) is True
    assert c.get(f"/api/streams/{s['id']}/analyze", bool) is True
    check(str, c.get(f"/api/streams/{s['id']}/url", str))
    return s, line, region


def watch(c, receiver, s, region):
    """Reads statuses until faces are seen and crossings counted, and looks at the alert."""
    key = str(s["id"])
    seen = receiver.wait("faces", lambda m: m.get(key))[key]
    assert seen["Hall"]["within"][0]["class_name"] == "face" and seen["Line"]["total_entered"] == {"face": 1}
    assert c.get("/api/streams/status", STATUSES)[key].keys() == seen.keys()
    answer = c.call("GET", "/api/alerts", params={"stream_id": s["id"], "limit": 100, "offset": 0})
    alerts = check([ALERT], json.loads(answer.content))
    assert int(answer.headers["total-count"]) == len(alerts) == 1 and alerts[0]["zone_id"] == region["id"]
    path = f"/api/alerts/{alerts[0]['id']}"
    frame = c.call("GET", path + "/frame")
    assert frame.headers["content-type"].startswith("image/") and frame.content[:2] == b"\xff\xd8"
    for verdict in (True, False, None):
        c.put(path, verdict)
        assert c.get(path, ALERT)["verified_as"] is verdict
    assert c.get("/api/alerts", [ALERT], verification="true,false") == []


def enrol(c, receiver, s):
    """Makes somebody known by a picture, and sees the name in the stream."""
    person = c.post("/api/identities", IDENTITY, {"id": None, "unique_name": "ada", "nickname": "Ada", "metadata": {}})
    fails("DuplicateIdentityNameError", c.post, "/api/identities", IDENTITY, {**person, "id": None})
    nameless = c.post("/api/identities", IDENTITY, {"id": None, "unique_name": "bob", "nickname": None, "metadata": {}})
    assert nameless["nickname"] is None  # as of a folder of pictures that has no name in brackets
    c.delete(f"/api/identities/{nameless['id']}")
    picture = upload(c, b"\xff\xd8", "image/jpeg")
    base = f"/api/identities/{person['id']}"
    e = c.post(base + "/images", ENCODING, {"class_name": "face", "storage_id": picture})
    assert e["from_image"] == picture
    again = upload(c, b"\xff\xd8", "image/jpeg")  # the desktop client does, and passes over this one error
    fails("ImageAlreadyEncodedError", c.post, base + "/images", ENCODING, {"class_name": "face", "storage_id": again})
    c.post(base + "/vectors", ENCODING, {"class_name": "face", "vector": [0.25, 1.0]})
    fails("DuplicateVectorError", c.post, base + "/vectors", ENCODING, {"class_name": "face", "vector": [0.25, 1.0]})
    assert c.get("/api/encodings", [{"class_name": str}], fields="class_name") == [{"class_name": "face"}]
    found = c.call("GET", "/api/identities", params={"unique_name": "ada", "sort_by": "id:asc"})
    assert found.headers["Total-Count"] == "1" and json.loads(found.content) == [person]
    c.put(f"/api/streams/{s['id']}/analyze", True)
    named = receiver.wait("a name", lambda m: any(d["with_identity"] for d in m[str(s["id"])]["Screen"]["within"]))
    face = named[str(s["id"])]["Screen"]["within"][0]
    assert face["with_identity"] == person and isinstance(face["extra_data"]["encoding_distance"], NUMBER)


def options(c, s):
    """Changes an option of a capsule for one stream only."""
    capsule, = c.get("/api/plugins", [CAPSULE])
    name = capsule["name"]
    for o in capsule["options"].values():
        if o["type"] in ("float", "int"):
            assert {"min_val", "max_val"} <= o["constraints"].keys()
        if o["type"] == "enum":
            assert o["default"] in o["constraints"]["choices"]
    everywhere, here = f"/api/plugins/{name}", f"/api/streams/{s['id']}/plugins/{name}"
    before = c.get(everywhere + "/options", ("map", "any"))
    assert before.keys() == capsule["options"].keys() and c.get(here + "/options", ("map", "any")) == {}
    c.put(here + "/options", {"threshold": 0.25})
    assert c.get(here + "/options", ("map", "any")) == {"threshold": 0.25}
    assert c.get(everywhere + "/options", ("map", "any")) == before
    c.json("PATCH", here + "/options", "any", {"threshold": None})
    assert c.get(here + "/options", ("map", "any")) == {}
    fails("InvalidPluginOptionError", c.put, everywhere + "/options", {"threshold": "high"})
    c.put(everywhere + "/options", before)
    assert c.get(here + "/active", null(bool)) is None
    for value in (True, False, None):
        c.put(here + "/active", value)
        assert c.get(here + "/active", null(bool)) is value
    meta = json.dumps({"plugins": [name], "options": {name: {"threshold": 0.5}}})
    answer = c.call("POST", "/api/process_image", files=(("image", ("image.jpg", b"\xff\xd8", "image/jpeg")),
                                                         ("metadata", ("metadata.json", meta, "application/json"))))
    check([DETECTION], json.loads(answer.content))


def administration(c):
    u = c.post("/api/users", USER, {"id": None, "username": "ed", "password": "p", "role": "editor"})
    fails("DuplicateUsernameError", c.post, "/api/users", USER, {**u, "id": None, "password": "p"})
    c.delete(f"/api/users/{u['id']}")
    fails("AdminMustExistError", c.delete, "/api/users/1")
    p = c.post("/api/premises", PREMISES, {"id": None, "name": "Office"})
    assert c.get("/api/premises", [PREMISES]) == [p]
    assert c.get("/api/license", LICENSE)["state"] == "valid"
    check(LICENSE, json.loads(c.call("PUT", "/api/license", data="bGljZW5zZQ==", mime="application/base64").content))
    fails("CloudUserNotFoundError", c.get, "/api/cloud_user", "any")
    c.get("/api/oauth2_info", {"domain": str, "client_id": str, "scopes": [str]})
    for path, kind in {"/api/streams/99": "StreamConfigNotFoundError", "/api/zones/99": "ZoneNotFoundError",
                       "/api/zone_alarms/99": "ZoneAlarmNotFoundError", "/api/alerts/99": "AlertNotFoundError",
                       "/api/plugins/nobody": "PluginNotFoundError", "/api/identities/99": "IdentityNotFoundError",
                       "/api/encodings/99": "EncodingNotFoundError", "/api/premises/99": "PremisesNotFoundError",
                       "/api/storage/99": "StorageNotFoundError", "/api/users/99": "UserNotFoundError",
                       "/api/nothing": "UnknownError"}.items():
        fails(kind, c.get, path, "any")
    c.delete(f"/api/premises/{p['id']}")


def main(url):
    c = Client(url + "/", ("admin", "pässword"))  # the slash makes //api/...
    assert c.wait_for_initialization() == "0.30.5"
    fails("UnauthorizedError", Client(url, ("admin", "wrong")).get, "/api/version", str)
    fails("UnauthorizedError", Client(url).get, "/api/version", str)
    receiver = Receiver(Client(url, ("admin", "pässword")))
    s, line, region = setup(c)
    watch(c, receiver, s, region)
    enrol(c, receiver, s)
    options(c, s)
    administration(c)
    before = receiver.connections
    c.put(f"/api/streams/{s['id']}/analyze", False)  # the test's server breaks its status streams off here
    until = time.time() + 30
    while receiver.connections == before:
        assert receiver.died is None and time.time() < until, f"not connected again: {receiver.died!r}"
        time.sleep(0.01)
    c.delete(f"/api/zones/{line['id']}")
    c.delete(f"/api/zone_alarms/{region['alarms'][0]['id']}")
    c.delete("/api/encodings")
    c.delete(f"/api/streams/{s['id']}")
    receiver.wait("that there are no streams", lambda m: m == {})
    assert c.get("/api/streams", [STREAM]) == [] and c.get("/api/zones", [ZONE]) == []
    assert c.logins == 2, f"{c.logins} sign-ins; one, and one more after the session was over"
    assert receiver.packets > 0 and receiver.died is None
    print("story: ok")


if __name__ == "__main__":
    main(sys.argv[1])
