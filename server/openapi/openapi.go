// Package openapi describes HTTP APIs as OpenAPI 3.1, from the Go types that they read and write.
//
// Schemas are reflected by swaggest/jsonschema-go. The document around them is put together here:
// it has what the types do not say, such as endless answers, files and who may call.
package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/swaggest/jsonschema-go"
)

const schemas = "#/components/schemas/"

// Info is what a document says of the whole API.
type Info struct {
	Title       string
	Version     string
	Description string
	Base        string         // path that all paths begin with: "/api"
	Tags        []Tag          // in their order
	Security    map[string]any // schemes by name
	Failure     reflect.Type   // body of answers from 400 on
	FailureType string         // its media type
}

// Tag is a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Operation is one method of one path. Types are those of Go values as encoding/json reads and
// writes them; nil: there is none.
type Operation struct {
	Method      string
	Path        string // with {name} for what varies
	Root        bool   // the path is not below the base
	ID          string // unique, for generated clients
	Tag         string
	Summary     string
	Description string
	Open        bool         // nobody has to sign in
	Params      reflect.Type // struct with tags path and query
	Body        reflect.Type
	BodyTypes   []string // media types of the body; without Body: bytes of these types
	Patch       bool     // the body is a JSON merge patch of Body
	Status      int      // of success; 0: 200, or 204 without an answer
	Answer      reflect.Type
	AnswerTypes []string // media types of the answer; without Answer: bytes of these types
	Errors      []int
	Failure     reflect.Type // of a body of its own from 400 on, as JSON; nil: that of the API
}

// Document is an API in OpenAPI 3.1, as JSON values.
type Document map[string]any

// builder collects schemas.
type builder struct {
	reflector jsonschema.Reflector
	defs      map[string]any
	failures  map[string]any
	names     map[string]reflect.Type
	err       error
}

// Build describes the operations. It fails on types that have no schema, and on two types of one
// name.
func Build(info Info, ops []Operation) (Document, error) {
	b := &builder{defs: map[string]any{}, failures: map[string]any{}, names: map[string]reflect.Type{}}
	paths := map[string]any{}
	for _, op := range ops {
		path := info.Base + op.Path
		if op.Root {
			path = op.Path
		}
		item, _ := paths[path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths[path] = item
		}
		item[strings.ToLower(op.Method)] = b.operation(info, op)
		if b.err != nil {
			return nil, fmt.Errorf("%s %s: %w", op.Method, op.Path, b.err)
		}
	}
	doc := Document{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": info.Title, "version": info.Version, "description": info.Description,
			"license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{map[string]any{"url": "/"}},
		"paths":   paths, "tags": info.Tags,
		"components": map[string]any{"schemas": b.defs, "responses": b.failures, "securitySchemes": info.Security},
		"security":   securityOf(info),
	}
	return doc, nil
}

// JSON writes the document, with names in order, so that two of the same API are the same bytes.
func (d Document) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

// securityOf says that any of the schemes will do.
func securityOf(info Info) []any {
	list := []any{}
	for _, name := range sorted(info.Security) {
		list = append(list, map[string]any{name: []string{}})
	}
	return list
}

func sorted(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (b *builder) operation(info Info, op Operation) map[string]any {
	out := map[string]any{"operationId": op.ID, "summary": op.Summary, "tags": []string{op.Tag}, "responses": b.responses(info, op)}
	if op.Description != "" {
		out["description"] = op.Description
	}
	if op.Open {
		out["security"] = []any{}
	}
	if op.Params != nil {
		if list := b.parameters(op); len(list) > 0 {
			out["parameters"] = list
		}
	}
	if op.Body != nil || len(op.BodyTypes) > 0 {
		out["requestBody"] = map[string]any{"required": true, "content": b.body(op)}
	}
	return out
}

func (b *builder) body(op Operation) map[string]any {
	types := op.BodyTypes
	if len(types) == 0 {
		types = []string{"application/json"}
	}
	if op.Patch {
		types = []string{"application/merge-patch+json", "application/json"}
	}
	content := map[string]any{}
	for _, t := range types {
		content[t] = b.media(op.Body, t, op.Patch)
	}
	return content
}

// media describes a body of a type, or bytes.
func (b *builder) media(t reflect.Type, mime string, patch bool) map[string]any {
	switch {
	case t == nil && strings.HasPrefix(mime, "text/"):
		return map[string]any{"schema": map[string]any{"type": "string"}}
	case t == nil:
		return map[string]any{} // bytes: OpenAPI 3.1 has no schema for them
	case patch:
		return map[string]any{"schema": b.patch(t)}
	default:
		return map[string]any{"schema": b.schema(t)}
	}
}

func (b *builder) responses(info Info, op Operation) map[string]any {
	status := op.Status
	answered := op.Answer != nil || len(op.AnswerTypes) > 0
	if status == 0 {
		if status = http.StatusOK; !answered {
			status = http.StatusNoContent
		}
	}
	good := map[string]any{"description": http.StatusText(status)}
	if answered {
		types, content := op.AnswerTypes, map[string]any{}
		if len(types) == 0 {
			types = []string{"application/json"}
		}
		for _, t := range types {
			content[t] = b.media(op.Answer, t, false)
		}
		good["content"] = content
	}
	out := map[string]any{strconv.Itoa(status): good}
	if info.Failure == nil {
		return out
	}
	if op.Failure != nil {
		body := map[string]any{"application/json": map[string]any{"schema": b.schema(op.Failure)}}
		for _, e := range op.Errors {
			out[strconv.Itoa(e)] = map[string]any{"description": text(e), "content": body}
		}
		return out
	}
	for _, e := range op.Errors {
		out[strconv.Itoa(e)] = b.failure(info, strconv.Itoa(e), text(e))
	}
	out["default"] = b.failure(info, "Default", "Something else went wrong")
	return out
}

// failure gives a reference to the answer of a failure.
func (b *builder) failure(info Info, name, text string) map[string]any {
	name = "Failure" + name
	if b.failures[name] == nil {
		body := map[string]any{"schema": b.schema(info.Failure)}
		b.failures[name] = map[string]any{"description": text, "content": map[string]any{info.FailureType: body}}
	}
	return map[string]any{"$ref": "#/components/responses/" + name}
}

func text(status int) string {
	if s := http.StatusText(status); s != "" {
		return s
	}
	return "Status " + strconv.Itoa(status)
}

// parameters lists those of the path, in its order, and those of the query.
func (b *builder) parameters(op Operation) []any {
	var out []any
	for _, in := range []string{"path", "query"} {
		s, err := b.reflector.Reflect(reflect.New(op.Params).Elem().Interface(), jsonschema.PropertyNameTag(in), jsonschema.InlineRefs, jsonschema.InterceptNullability(plain))
		if err != nil {
			b.err = err
			return nil
		}
		for _, name := range names(op.Params, in) {
			p, ok := s.Properties[name]
			if !ok || p.TypeObject == nil {
				continue
			}
			m := b.simple(p.TypeObject)
			entry := map[string]any{"name": name, "in": in, "schema": m}
			if in == "path" || slices.Contains(s.Required, name) {
				entry["required"] = true
			}
			if d, ok := m["description"]; ok {
				entry["description"] = d
				delete(m, "description")
			}
			if m["type"] == "array" {
				entry["style"], entry["explode"] = "form", false
			}
			out = append(out, entry)
		}
	}
	return out
}

// names gives the names of a struct's fields by a tag, in order, those of embedded structs too.
func names(t reflect.Type, tag string) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, names(f.Type, tag)...)
		} else if name := f.Tag.Get(tag); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// plain takes null from lists and objects, which are never null here, and from what a tag says.
func plain(p jsonschema.InterceptNullabilityParams) {
	if k := p.Type.Kind(); k == reflect.Slice || k == reflect.Map {
		p.Schema.RemoveType(jsonschema.Null)
	}
}

// whole says what reflection leaves out: how long an array is.
func whole(rc *jsonschema.ReflectContext) {
	jsonschema.InterceptSchema(func(p jsonschema.InterceptSchemaParams) (bool, error) {
		if t := p.Value.Type(); p.Processed && t.Kind() == reflect.Array {
			p.Schema.WithMinItems(int64(t.Len())).WithMaxItems(int64(t.Len()))
		}
		return false, nil
	})(rc)
}

// schema gives a reference to the schema of a type, or the schema where it has no name.
func (b *builder) schema(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		return map[string]any{"anyOf": []any{b.schema(t.Elem()), map[string]any{"type": "null"}}}
	}
	s, err := b.reflector.Reflect(reflect.New(t).Elem().Interface(),
		jsonschema.DefinitionsPrefix(schemas), jsonschema.RootRef, jsonschema.InterceptNullability(plain), whole,
		jsonschema.InterceptDefName(b.name), jsonschema.CollectDefinitions(b.collect))
	if err != nil {
		b.err = err
		return nil
	}
	return b.simple(&s)
}

// name calls a type as Go does, without its package: Stream for stream.
func (b *builder) name(t reflect.Type, _ string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if base, args, ok := strings.Cut(name, "["); ok { // page[…/native.stream]
		arg := strings.TrimSuffix(args, "]")
		name = base + "Of" + upper(arg[strings.LastIndexByte(arg, '.')+1:])
	}
	name = upper(name)
	if old, ok := b.names[name]; ok && old != t {
		b.err = fmt.Errorf("two types are named %s: %s and %s", name, old, t)
	}
	b.names[name] = t
	return name
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// collect keeps a named schema. What is answered has all its members, unless they may be left out;
// types that take no other members, or are named so, are read.
func (b *builder) collect(name string, s jsonschema.Schema) {
	t := b.names[name]
	input := s.AdditionalProperties != nil || strings.HasSuffix(name, "Input")
	if t != nil && t.Kind() == reflect.Struct && !input {
		for _, member := range always(t) {
			if _, ok := s.Properties[member]; ok && !slices.Contains(s.Required, member) {
				s.Required = append(s.Required, member)
			}
		}
	}
	if len(s.AnyOf) > 0 {
		s.Type = nil // that of the Go type which stands for it
	}
	m := b.simple(&s)
	if of, ok := m["properties"].(map[string]any); ok && t != nil && t.Kind() == reflect.Struct {
		nullable(t, of, input)
	}
	b.defs[name] = m
}

// nullable says of members that are pointers to structs that they may be null, which reflection
// does not where there is a reference, and of lists with the tag null. In answers those that may be
// left out are never null.
func nullable(t reflect.Type, properties map[string]any, input bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			nullable(f.Type, properties, input)
			continue
		}
		p, ok := properties[name].(map[string]any)
		if ok && f.Tag.Get("null") == "true" {
			p["type"] = []any{p["type"], "null"}
		}
		if !ok || f.Type.Kind() != reflect.Pointer || p["$ref"] == nil || strings.Contains(opts, "omit") && !input {
			continue
		}
		both := map[string]any{"anyOf": []any{map[string]any{"$ref": p["$ref"]}, map[string]any{"type": "null"}}}
		if d, ok := p["description"]; ok {
			both["description"] = d
		}
		properties[name] = both
	}
}

// always lists the members that encoding/json always writes.
func always(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			out = append(out, always(f.Type)...)
		case name != "" && name != "-" && !strings.Contains(opts, "omit"):
			out = append(out, name)
		}
	}
	return out
}

func (b *builder) simple(s *jsonschema.Schema) map[string]any {
	text, err := json.Marshal(s)
	var m map[string]any
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil && b.err == nil {
		b.err = err
	}
	return m
}

// patch gives the schema of a merge patch: each member may be left out, and null takes it back.
func (b *builder) patch(t reflect.Type) map[string]any {
	ref := b.schema(t)
	name, ok := ref["$ref"].(string)
	if !ok {
		b.err = fmt.Errorf("a patch of %s has no name", t)
		return nil
	}
	name = strings.TrimPrefix(name, schemas)
	whole, _ := b.defs[name].(map[string]any)
	properties := map[string]any{}
	of, _ := whole["properties"].(map[string]any)
	for member, s := range of {
		properties[member] = map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
	}
	b.defs[name+"Patch"] = map[string]any{"type": "object", "properties": properties, "additionalProperties": false,
		"description": "What is given changes, null takes a member back, the others stay (RFC 7396)."}
	return map[string]any{"$ref": schemas + name + "Patch"}
}
