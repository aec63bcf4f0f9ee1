"""Is told of alerts by signed webhooks: main.py PORT EVENTS [NUMBER]"""
import base64, hmac, http.server, json, os, sys, threading, time, urllib.error, urllib.request

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


port, kinds, most = int(sys.argv[1]), sys.argv[2].split(","), int((sys.argv[3:] or [0])[0])
had = set()  # a program that runs for long forgets the oldest


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        h, body = self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        signed = f"{h['webhook-id']}.{h['webhook-timestamp']}.".encode() + body
        want = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
        ok = any(hmac.compare_digest(want, s) for s in h.get("webhook-signature", "").split())
        ok = ok and abs(time.time() - int(h["webhook-timestamp"])) < 300
        self.send_response(204 if ok else 401)
        self.end_headers()
        event = json.loads(body) if ok else {"id": None}
        if ok and event["id"] not in had:  # it may be told again
            had.add(event["id"])
            print(event["time"], event["type"], event.get("subject", ""), flush=True)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", port), Receiver)
hook = json.load(ask("POST", "/destinations", {"name": f"http-webhook {port}", "kind": "webhook", "url": f"http://127.0.0.1:{port}", "events": kinds}))
KEY = base64.b64decode(hook["secret"].removeprefix("whsec_"))
try:
    test = threading.Thread(target=ask, args=("POST", f"/destinations/{hook['id']}/test"))
    test.start()  # the test comes while we listen
    while not most or len(had) < most:
        server.handle_request()
    test.join()
except KeyboardInterrupt:
    pass
finally:
    ask("DELETE", f"/destinations/{hook['id']}")
