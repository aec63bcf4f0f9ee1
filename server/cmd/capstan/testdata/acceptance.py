"""What a user of the vendor's client does with a new server, with client code alone.

Usage: acceptance.py CLIENT URL PASSWORD CLIP PHOTO PART

CLIENT is the folder of client.py, the stand-in for the vendor's client. PART is "begin", "after" (the
server was restarted in the middle) or "end". State goes from part to part as JSON, by standard input and
output; notes go to standard error.
"""
import json
import sys
import time

client_folder, url, password, clip, photo, part = sys.argv[1:7]
sys.path.insert(0, client_folder)
import client as vendor  # noqa: E402  (its folder is known only now)

ZONE, ALARM, ALERT, STREAM = vendor.ZONE, vendor.ALARM, vendor.ALERT, vendor.STREAM
fails = vendor.fails
WIDTH, HEIGHT = 1280, 720
# Faces swing up and down around the middle of their columns.
MIDDLE = HEIGHT // 2


def note(*words):
    print(*words, file=sys.stderr, flush=True)


def screen(packet, stream):
    zones = packet.get(str(stream)) or {}
    return zones.get("Screen")


def wait_for_name(receiver, stream, name, there=True):
    def holds(packet):
        now = screen(packet, stream)
        names = [d["with_identity"]["unique_name"] for d in (now or {}).get("within", ()) if d["with_identity"]]
        return now is not None and now["within"] and (name in names) == there
    receiver.wait(f"the name {name}: {there}", holds, timeout=60)


def begin(c, receiver):
    with open(clip, "rb") as f:
        data = f.read()
    storage = vendor.upload(c, data, "video/mp4")
    assert c.call("GET", f"/api/storage/{storage}").content == data
    s = c.post("/api/streams", STREAM, {
        "id": None, "name": "Gate", "premises_id": None, "connection_type": "file",
        "connection_options": {"storage_id": storage}, "runtime_options": {}, "metadata": {"floor": 2}})
    n = s["id"]
    left = c.post("/api/zones", ZONE, {
        "id": None, "name": "Below", "stream_id": n, "coords": [[0, MIDDLE], [WIDTH, MIDDLE], [WIDTH, HEIGHT], [0, HEIGHT]], "alarms": [
            vendor.alarm("Somebody below", count_conditions=[{**vendor.COUNT_ONE, "window_duration": 0, "window_threshold": 0,
                                                              "check_value": 1, "intersection_point": "center"}])]})
    line = c.post("/api/zones", ZONE, {"id": None, "name": "Line", "stream_id": n, "coords": [[0, MIDDLE], [WIDTH, MIDDLE]], "alarms": []})
    fails("DuplicateZoneNameError", c.post, "/api/zones", ZONE, {**line, "id": None})
    assert c.put(f"/api/streams/{n}/analyze", True) is True
    receiver.wait("faces within a zone and crossings of the line", lambda m: (
        (z := m.get(str(n)) or {}) and z["Below"]["within"] and z["Line"]["total_entered"].get("face", 0) > 0
        and z["Line"]["total_exited"].get("face", 0) > 0), timeout=60)
    note("faces are seen, crossings counted")
    receiver.wait("an alert that is on", lambda m: any(
        a["end_time"] is None for a in m.get(str(n), {}).get("Below", {}).get("alerts", ())), timeout=60)
    receiver.wait("its end", lambda m: any(
        a["end_time"] is not None for a in m.get(str(n), {}).get("Below", {}).get("alerts", ())), timeout=60)
    alerts = c.get("/api/alerts", [ALERT], stream_id=n)
    done = [a for a in alerts if a["end_time"] is not None]
    assert done and all(a["end_time"] >= a["start_time"] for a in done), alerts
    frame = c.call("GET", f"/api/alerts/{done[0]['id']}/frame")
    assert frame.content[:2] == b"\xff\xd8" and len(frame.content) > 10_000, len(frame.content)
    c.put(f"/api/alerts/{done[0]['id']}", True)
    assert c.get(f"/api/alerts/{done[0]['id']}", ALERT)["verified_as"] is True
    note("an alert began and ended, its frame has", len(frame.content), "bytes")
    person = enrol(c, receiver, n)
    option(c, receiver, n)
    assert c.get("/api/streams/status", vendor.STATUSES)[str(n)].keys() == {"Screen", "Below", "Line"}
    totals = receiver.latest[str(n)]["Line"]["total_entered"]
    return {"storage": storage, "stream": s, "zones": [left, line], "alert": done[0]["id"], "person": person, "entered": totals["face"]}


def enrol(c, receiver, n):
    person = c.post("/api/identities", vendor.IDENTITY, {"id": None, "unique_name": "ada", "nickname": "Ada", "metadata": {"team": "x"}})
    with open(photo, "rb") as f:
        picture = vendor.upload(c, f.read(), "image/jpeg")
    base = f"/api/identities/{person['id']}/images"
    began = time.time()
    c.post(base, vendor.ENCODING, {"class_name": "face", "storage_id": picture})
    wait_for_name(receiver, n, "ada")
    note(f"a name is on the face {time.time() - began:.1f} s after the photo")
    fails("ImageAlreadyEncodedError", c.post, base, vendor.ENCODING, {"class_name": "face", "storage_id": picture})
    nothing = vendor.upload(c, blank(), "image/png")
    fails("NoDetectionsInImageError", c.post, base, vendor.ENCODING, {"class_name": "face", "storage_id": nothing})
    fails("NoDetectorForClassError", c.post, base, vendor.ENCODING, {"class_name": "zebra", "storage_id": picture})
    broken = vendor.upload(c, b"no picture at all", "image/jpeg")
    fails("InvalidImageTypeError", c.post, base, vendor.ENCODING, {"class_name": "face", "storage_id": broken})
    fails("DuplicateIdentityNameError", c.post, "/api/identities", vendor.IDENTITY, {**person, "id": None})
    return person


def blank():
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x80" * 320 for _ in range(240))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def option(c, receiver, n):
    """Sets an option for one stream only, and sees that no face is sure enough any more."""
    capsules = {p["name"]: p for p in c.get("/api/plugins", [vendor.CAPSULE])}
    finder = next(name for name, p in capsules.items() if "face" in p["output_type"]["detections"] and p["input_type"]["size"] == "none")
    here, everywhere = f"/api/streams/{n}/plugins/{finder}/options", f"/api/plugins/{finder}/options"
    before = c.get(everywhere, ("map", "any"))
    highest = capsules[finder]["options"]["threshold"]["constraints"]["max_val"]
    c.put(here, {"threshold": highest})
    assert c.get(here, ("map", "any")) == {"threshold": highest} and c.get(everywhere, ("map", "any")) == before
    receiver.wait("no faces with the highest threshold", lambda m: not screen(m, n)["within"], timeout=60)
    c.json("PATCH", here, "any", {"threshold": None})
    receiver.wait("faces again", lambda m: screen(m, n)["within"], timeout=60)
    fails("InvalidPluginOptionError", c.put, here, {"threshold": "high"})
    fails("InvalidPluginOptionError", c.put, here, {"nothing": 1})
    note("an option of", finder, "was changed for one stream")


def after(c, receiver, was):
    n = was["stream"]["id"]
    assert c.get("/api/streams", [STREAM]) == [was["stream"]]
    zones = c.get("/api/zones", [ZONE], stream_id=n)
    assert [z for z in zones if z["name"] != "Screen"] == was["zones"], zones
    assert c.get(f"/api/alerts/{was['alert']}", ALERT)["verified_as"] is True
    assert c.call("GET", f"/api/alerts/{was['alert']}/frame").content[:2] == b"\xff\xd8"
    assert c.get(f"/api/identities/{was['person']['id']}", vendor.IDENTITY) == was["person"]
    assert c.get(f"/api/streams/{n}/analyze", bool) is True
    receiver.wait("totals that go on", lambda m: (z := m.get(str(n)) or {}) and z["Screen"]["within"]
                  and z["Line"]["total_entered"].get("face", 0) >= was["entered"], timeout=60)
    wait_for_name(receiver, n, "ada")
    note("everything is as it was")
    return was


def end(c, receiver, was):
    after(c, receiver, was)
    n = was["stream"]["id"]
    c.delete(f"/api/identities/{was['person']['id']}")
    wait_for_name(receiver, n, "ada", there=False)
    c.delete(f"/api/zone_alarms/{was['zones'][0]['alarms'][0]['id']}")
    c.delete(f"/api/zones/{was['zones'][0]['id']}")
    c.delete(f"/api/streams/{n}")
    receiver.wait("that there are no streams", lambda m: m == {})
    c.delete(f"/api/storage/{was['storage']}")
    fails("StorageNotFoundError", c.call, "GET", f"/api/storage/{was['storage']}")
    fails("AlertNotFoundError", c.get, f"/api/alerts/{was['alert']}", ALERT)
    for path in ("/api/streams", "/api/zones", "/api/zone_alarms", "/api/alerts", "/api/identities", "/api/encodings"):
        assert c.get(path, ["any"]) == [], path
    return {}


def main():
    who = ("admin", password)
    c = vendor.Client(url, who)
    c.wait_for_initialization()
    fails("UnauthorizedError", vendor.Client(url, ("admin", "wrong")).get, "/api/version", str)
    receiver = vendor.Receiver(vendor.Client(url, who))
    was = None if part == "begin" else json.load(sys.stdin)
    state = begin(c, receiver) if part == "begin" else {"after": after, "end": end}[part](c, receiver, was)
    assert receiver.died is None, receiver.died
    json.dump(state, sys.stdout)


if __name__ == "__main__":
    main()
