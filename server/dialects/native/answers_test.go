package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// answers holds every answer of the tests against the document.
var answers struct {
	sync.Mutex
	compiler *jsonschema.Compiler
	document map[string]any
	schemas  map[string]*jsonschema.Schema
	seen     map[string]bool
}

// told holds an answer against what the document says of its route.
func told(t testing.TB, method, path string, a *httptest.ResponseRecorder) {
	t.Helper()
	route := routeOf(method, path)
	if route == nil {
		return
	}
	answers.Lock()
	defer answers.Unlock()
	if answers.compiler == nil {
		text, err := Document()
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		answers.compiler, answers.document = jsonschema.NewCompiler(), doc.(map[string]any)
		answers.schemas, answers.seen = map[string]*jsonschema.Schema{}, map[string]bool{}
		if err := answers.compiler.AddResource("openapi.json", doc); err != nil {
			t.Fatal(err)
		}
	}
	responses := at(answers.document["paths"].(map[string]any)[Base+route.path], strings.ToLower(method)+".responses")
	if at(responses, fmt.Sprint(a.Code)) == nil && a.Code != 304 && a.Code != 206 {
		t.Errorf("%s %s: the document does not tell of %d: %s", method, route.path, a.Code, a.Body)
		return
	}
	mime := strings.Split(a.Header().Get("Content-Type"), ";")[0]
	pointer := "openapi.json#/components/schemas/Problem"
	if a.Code < 400 {
		answers.seen[route.id] = true
		if mime != "application/json" || route.answer == nil {
			return
		}
		pointer = fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/application~1json/schema", strings.ReplaceAll(Base+route.path, "/", "~1"), strings.ToLower(method), a.Code)
	} else if mime != problemType {
		t.Errorf("%s %s: %d is no problem: %s", method, path, a.Code, a.Body)
		return
	}
	pointer = strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer)
	s := answers.schemas[pointer]
	if s == nil {
		var err error
		if s, err = answers.compiler.Compile(pointer); err != nil {
			t.Fatal(err)
		}
		answers.schemas[pointer] = s
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.Body.Bytes()))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%s %s: %v\n%s", method, path, err, a.Body)
	}
}

// routeOf finds the route of a request.
func routeOf(method, path string) *route {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for _, r := range (&api{}).routes() {
		of := strings.Split(r.path, "/")
		if r.method != method || len(of) != len(parts) {
			continue
		}
		same, literal := true, 0
		for i := range of {
			if of[i] == parts[i] {
				literal++
			} else if !strings.HasPrefix(of[i], "{") {
				same = false
			}
		}
		if same {
			return &r
		}
	}
	return nil
}

// sample gives a path of a route to what furnish makes, and a body that is fine.
func sample(r route) (path string, body any) {
	path = strings.NewReplacer("{capsule}", "finder", "{file}", "docs.js", "{api}", "x", "{zone}", "2", "{stream}", "1", "{premises}", "1", "{alarm}", "1", "{alert}", "1",
		"{blob}", "1", "{identity}", "1", "{vector}", "1", "{user}", "2", "{token}", "1", "{destination}", "1", "{delivery}", "1").Replace(r.path)
	bodies := map[string]string{
		"createStream": `{"name":"b","connection":{"kind":"ip_camera","url":"rtsp://10.0.0.8/1"}}`, "changeStream": `{"name":"c"}`,
		"createPremises": `{"name":"Yard"}`, "changePremises": `{"name":"Office 2"}`, "createZone": `{"stream":1,"name":"line","coords":[[0,0],[9,9]]}`,
		"changeZone": `{"name":"everything"}`, "createAlarm": `{"zone":2,"name":"x","rates":[{"objects":{"class":"face"},"test":">=","change":1,"window":5,"movement":"entering"}]}`,
		"changeAlarm": `{"hours":{"start":"22:00:00","end":"06:00:00"}}`, "verifyAlert": `{"verified":false}`, "loadCapsule": `{"blob":1}`,
		"replaceSetting": `{"options":{"most":5}}`, "changeSetting": `{"options":{"most":null}}`, "replaceOwnSetting": `{}`, "changeOwnSetting": `{"active":null}`,
		"createIdentity": `{"unique_name":"bob"}`, "changeIdentity": `{"nickname":null}`, "addImage": `{"class":"face","blob":1}`, "addVector": `{"class":"face","values":[0,1,0]}`,
		"createUser": `{"name":"zoe","role":"viewer","password":"p"}`, "changeUser": `{"role":"viewer"}`, "createToken": `{"name":"x","role":"viewer"}`,
		"createDestination": `{"name":"hook","kind":"webhook","url":"https://192.0.2.1/x"}`, "changeDestination": `{"enabled":false}`, "signIn": `{"name":"admin","password":"a test's own"}`,
	}
	switch {
	case bodies[r.id] != "":
		body = bodies[r.id]
	case len(r.bodyTypes) > 0:
		body = "bytes"
	}
	if r.id == "processImage" {
		path += "?capsules=finder"
	}
	return path, body
}

// marshal is for values of tests.
func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
