package native

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

// bind reads the parameters of path and query into a struct, by its tags: path and query name
// them, default, minimum, maximum, enum and required are what the document says too.
func bind[P any](r *request) (P, error) {
	var p P
	v := reflect.ValueOf(&p).Elem()
	q, err := httpx.ReadQuery(r.Request)
	if err != nil {
		return p, err
	}
	known := []string{}
	if err := bindStruct(r, q, v, &known); err != nil {
		return p, err
	}
	for name := range r.Request.URL.Query() {
		if !slices.Contains(known, name) {
			return p, &httpx.FormatError{Field: fmt.Sprintf("%.40q", name), Reason: "is no parameter here; there are: " + strings.Join(known, ", ")}
		}
	}
	return p, nil
}

func bindStruct(r *request, q httpx.Query, v reflect.Value, known *[]string) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		var err error
		switch {
		case f.Anonymous:
			err = bindStruct(r, q, v.Field(i), known)
		case f.Tag.Get("path") != "":
			err = bindPath(f, v.Field(i), r.Param(f.Tag.Get("path")))
		default:
			name := f.Tag.Get("query")
			*known = append(*known, name)
			s := q.Text(name)
			if s == "" {
				s = f.Tag.Get("default")
			}
			if s == "" && f.Tag.Get("required") == "true" {
				err = &httpx.FormatError{Field: name, Reason: "is missing"}
			} else if s != "" {
				err = bindText(name, f.Tag, v.Field(i), s)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bindPath reads an ID or a name. A number that can be no ID is one that does not exist.
func bindPath(f reflect.StructField, v reflect.Value, s string) error {
	noun := f.Tag.Get("path")
	if v.Kind() != reflect.Int64 {
		if err := httpx.CheckText(s); err != nil {
			return &httpx.FormatError{Field: "path", Reason: err.Error()}
		}
		v.SetString(s)
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n > 0 {
		v.SetInt(n)
		return nil
	}
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return &httpx.FormatError{Field: "path", Reason: fmt.Sprintf("%.40q is not the ID of a %s", s, noun)}
	}
	return core.Faultf(core.NotFound, "", noun, "there is no %s %.40s", noun, s)
}

func bindText(name string, tag reflect.StructTag, v reflect.Value, s string) error {
	wrong := func(format string, args ...any) error {
		return &httpx.FormatError{Field: name, Reason: fmt.Sprintf(format, args...)}
	}
	switch v.Kind() {
	case reflect.Int64:
		n, err := strconv.ParseInt(s, 10, 64)
		least, most := limit(tag, "minimum", 0), limit(tag, "maximum", 1<<53)
		if err != nil || n < least || n > most {
			return wrong("%.40q is not a whole number within %d..%d", s, least, most)
		}
		v.SetInt(n)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return wrong("%.40q is not true or false", s)
		}
		v.SetBool(b)
	case reflect.Slice:
		for part := range strings.SplitSeq(s, ",") {
			if err := oneOf(name, tag.Get("items.enum"), part); err != nil {
				return err
			}
			v.Set(reflect.Append(v, reflect.ValueOf(part).Convert(v.Type().Elem())))
		}
	default:
		if err := oneOf(name, tag.Get("enum"), s); err != nil {
			return err
		}
		v.SetString(s)
	}
	return nil
}

func limit(tag reflect.StructTag, name string, otherwise int64) int64 {
	n, err := strconv.ParseInt(tag.Get(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

func oneOf(name, enum, s string) error {
	if enum == "" || slices.Contains(strings.Split(enum, ","), s) {
		return nil
	}
	return &httpx.FormatError{Field: name, Reason: fmt.Sprintf("%.40q is not one of %s", s, strings.ReplaceAll(enum, ",", ", "))}
}

// parse reads one JSON value in UTF-8, not too deep and without NUL; numbers are json.Number.
func parse(b []byte) (any, error) {
	if _, err := httpx.ParseJSON(b); err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

// decode holds a JSON value against the schema of B in the document, and reads it.
func decode[B any](v any) (B, error) {
	var b B
	s, err := schemaOf(reflect.TypeFor[B]())
	if err != nil {
		return b, err
	}
	if err := s.Validate(v); err != nil {
		return b, schemaError(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return b, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // metadata and options come back as they are given
	if err := d.Decode(&b); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return b, &httpx.FormatError{Field: wrong.Field, Reason: fmt.Sprintf("%.40q is out of range", wrong.Value)}
		}
		return b, &httpx.FormatError{Reason: fmt.Sprintf("%.200s", err)}
	}
	return b, nil
}

// schemas are those of bodies, compiled from the document when they are needed.
var schemas struct {
	sync.Mutex
	compiler *jsonschema.Compiler
	of       map[reflect.Type]*jsonschema.Schema
}

func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	schemas.Lock()
	defer schemas.Unlock()
	if s := schemas.of[t]; s != nil {
		return s, nil
	}
	if schemas.compiler == nil {
		text, err := Document()
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		schemas.compiler = jsonschema.NewCompiler()
		if err := schemas.compiler.AddResource("openapi.json", doc); err != nil {
			return nil, err
		}
		schemas.of = map[reflect.Type]*jsonschema.Schema{}
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	s, err := schemas.compiler.Compile("openapi.json#/components/schemas/" + name)
	if err == nil {
		schemas.of[t] = s
	}
	return s, err
}

var english = message.NewPrinter(language.English)

// schemaError names the first thing that is wrong, with its place.
func schemaError(err error) error {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return &httpx.FormatError{Reason: err.Error()}
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	reason := v.ErrorKind.LocalizedString(english)
	if len(reason) > 200 {
		reason = strings.ToValidUTF8(reason[:197], "") + "..."
	}
	return &httpx.FormatError{Field: strings.Join(v.InstanceLocation, "."), Reason: reason}
}
