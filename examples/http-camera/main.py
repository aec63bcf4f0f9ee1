"""Adds a camera and prints what is seen: main.py NAME URL [RESULTS]"""
import base64, json, os, sys, time, urllib.error, urllib.request

API = os.environ.get("CAPSTAN", "http://127.0.0.1:8080") + "/capstan/v1"
BASIC = "Basic " + base64.b64encode(f"admin:{os.environ.get('PASSWORD', '')}".encode()).decode()
AUTH = "Bearer " + os.environ["TOKEN"] if "TOKEN" in os.environ else BASIC


def ask(method, path, body=None):
    """Gives the answer, to be read. What the server refuses ends the program with why and what to do."""
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    try:
        return urllib.request.urlopen(urllib.request.Request(API + path, data, {"Authorization": AUTH}, method=method), timeout=60)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"{method} {path}: {problem['detail']} {problem.get('hint', '')}")


def results(path):
    """Gives results as they come, from server-sent events."""
    with ask("GET", path) as events:
        for line in events:
            if line.startswith(b"data: "):
                yield json.loads(line[len(b"data: "):])


name, url, most = *sys.argv[1:3], int((sys.argv[3:] or [0])[0])
stream = json.load(ask("POST", "/streams", {"name": name, "connection": {"kind": "ip_camera", "url": url}, "analyze": True}))["id"]
print("stream", stream)
last = None
while last != "running":
    state = json.load(ask("GET", f"/streams/{stream}/state"))
    if state["state"] not in ("", last):
        last = state["state"]
        print(last, state["error"], flush=True)
    time.sleep(0.1)
seen = 0
for result in results(f"/streams/{stream}/results?detections=true"):
    frame = result.get("frame") or {}
    if frame.get("detections"):
        print(f"{frame['pts']:.2f} s:", *(f"{d['class_name']} (track {d['track_id']})" for d in frame["detections"]), flush=True)
        seen += 1
        if seen == most:
            break
