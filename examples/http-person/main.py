"""Enrols a person from a photo and waits until a stream shows the person: main.py NAME PHOTO"""
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


name, photo = sys.argv[1:3]
with open(photo, "rb") as picture:
    file = json.load(ask("POST", "/blobs", picture.read()))["id"]
person = json.load(ask("POST", "/identities", {"unique_name": name}))["id"]
vector = json.load(ask("POST", f"/identities/{person}/images", {"class": "face", "blob": file}))
print(f"person {person}: {len(vector['values'])} values by {vector['encoder']}", flush=True)
for result in results("/results"):
    zones = [z["name"] for z in result["zones"] if any(o.get("identity") == name for o in z["within"])]
    if zones:
        print(f"{name} is on stream {result['stream']}, in", *zones)
        break
