"""Draws a zone, adds an alarm and tells of its alerts: main.py STREAM NAME CLASS ALERTS X,Y X,Y …"""
import base64, json, os, sys, urllib.error, urllib.request

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


stream, name, kind, most = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
coords = [[float(v) for v in corner.split(",")] for corner in sys.argv[5:]]
zone = json.load(ask("POST", "/zones", {"stream": stream, "name": name, "coords": coords}))["id"]
condition = {"objects": {"class": kind, "anchor": "center"}, "test": ">", "value": 0}
alarm = json.load(ask("POST", "/alarms", {"zone": zone, "name": f"{kind} in {name}", "counts": [condition]}))["id"]
print(f"zone {zone}, alarm {alarm}")
on, ended = set(), 0
for result in results(f"/streams/{stream}/results"):
    alerts = result["ended"] + [a for z in result["zones"] if z["zone"] == zone for a in z["alerts"]]
    for alert in alerts:
        if alert["end"] is None and alert["id"] not in on:
            on.add(alert["id"])
            file = f"alert-{alert['id']}.jpg"
            with open(file, "wb") as picture:
                picture.write(ask("GET", f"/alerts/{alert['id']}/frame?boxes=true").read())
            print(f"alert {alert['id']} began at {alert['start']}: {file}", flush=True)
        elif alert["end"] is not None and alert["id"] in on:
            on.remove(alert["id"])
            ended += 1
            print(f"alert {alert['id']} ended at {alert['end']}", flush=True)
    if most and ended >= most:
        break
