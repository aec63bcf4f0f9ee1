package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

var write = flag.Bool("write", false, "write the reference anew")

// other gives, for any key, two values that are not the default, as text.
func other(t *testing.T, k Key) [3]string {
	t.Helper()
	if len(k.OneOf) > 0 {
		var out []string
		for _, o := range k.OneOf {
			if o != k.Default {
				out = append(out, o)
			}
		}
		if len(out) == 1 {
			out = append(out, k.Default)
		}
		return [3]string{out[0], out[1], out[0]}
	}
	switch reflect.New(k.kind).Interface().(type) {
	case *bool:
		return [3]string{"true", "false", "true"}
	case *int:
		return [3]string{"3", "4", "5"}
	case *float64:
		return [3]string{"0.25", "0.5", "0.75"}
	case *time.Duration:
		return [3]string{"3m0s", "4m0s", "5m0s"}
	case *Bytes:
		return [3]string{"3MiB", "4KiB", "5MiB"}
	case *Openness:
		return [3]string{"true", "everywhere", "true"}
	case *[]Webhook:
		return [3]string{`[{url: "http://a.example"}]`, `[{url: "http://b.example"}]`, `[{url: "http://c.example", events: ["alert.began", "x"]}]`}
	}
	special := map[string]string{
		"listen": "127.0.0.1:%d", "tls.redirect": "127.0.0.1:%d", "rtsp.listen": "127.0.0.1:%d", "proxies": "10.0.0.%d", "tls.acme.hosts": "a%d.example.com",
		"database": "postgres://h%d/x", "tracing.endpoint": "http://h%d", "events.mqtt.url": "tcp://h%d:1", "events.nats.url": "nats://h%d", "tls.acme.directory": "https://h%d/x",
	}
	format := special[k.Name]
	if format == "" {
		format = "text%d"
	}
	return [3]string{fmt.Sprintf(format, 1), fmt.Sprintf(format, 2), fmt.Sprintf(format, 3)}
}

// with are keys that another one needs beside it.
var with = map[string]string{
	"tls.cert": "--tls-key=k", "tls.key": "--tls-cert=c", "tls.redirect": "--tls-acme-hosts=a.example.com",
}

// fileOf writes a file that sets one key.
func fileOf(t *testing.T, k Key, text string) string {
	t.Helper()
	var b strings.Builder
	path := strings.Split(k.Name, ".")
	for i, part := range path {
		fmt.Fprintf(&b, "%s%s:", indent(i), part)
		if i < len(path)-1 {
			b.WriteString("\n")
		}
	}
	if k.kind.Kind() == reflect.String || k.list() && !k.structs() {
		text = fmt.Sprintf("%q", text)
	}
	file := filepath.Join(t.TempDir(), "capstan.yaml")
	if err := os.WriteFile(file, []byte(b.String()+" "+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPrecedence goes over all keys: each comes from default, file, variable and flag, and the
// stronger one wins. A key that is added to the struct is tested by that.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	keys := Keys()
	if len(keys) < 30 {
		t.Fatalf("only %d keys", len(keys))
	}
	for _, k := range keys {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			v := other(t, k)
			file, env := fileOf(t, k, v[0]), []string{k.Env + "=" + v[1]}
			d := Default()
			for name, c := range map[string]struct {
				s      Sources
				want   string
				origin string
			}{
				"default": {Sources{}, k.text(&d, false), "default"},
				"file":    {Sources{File: file}, v[0], file + ":" + fmt.Sprint(strings.Count(k.Name, ".")+1)},
				"env":     {Sources{File: file, Env: env}, v[1], "$" + k.Env},
				"flag":    {Sources{File: file, Env: env, Flags: parsed(t, "--"+k.Flag+"="+v[2])}, v[2], "--" + k.Flag},
			} {
				if extra := with[k.Name]; extra != "" && name != "default" {
					if c.s.Flags == nil {
						c.s.Flags = parsed(t, extra)
					} else if err := c.s.Flags.Parse([]string{extra}); err != nil {
						t.Fatal(err)
					}
				}
				l, err := Load(c.s)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := k.text(&l.Config, false); normal(got) != normal(c.want) || l.Origins[k.Name].String() != c.origin {
					t.Errorf("%s: %q from %s, want %q from %s", name, got, l.Origins[k.Name], c.want, c.origin)
				}
			}
		})
	}
}

func normal(s string) string { return strings.ReplaceAll(s, `"`, "") }

func parsed(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(fl)
	if err := fl.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fl
}

// TestEveryKeyIsWhole wants names that can be told apart, and words about each.
func TestEveryKeyIsWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, k := range Keys() {
		if k.Usage == "" || strings.HasSuffix(k.Name, ".") || strings.HasPrefix(k.Name, ".") {
			t.Errorf("%q has no key or usage", k.Name)
		}
		for _, id := range []string{"--" + k.Flag, "$" + k.Env, k.Name} {
			if first, twice := seen[id]; twice {
				t.Errorf("%s belongs to %s and %s", id, first, k.Name)
			}
			seen[id] = k.Name
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		is   func(*Loaded) bool
	}{
		"no auth once":    {[]string{"--no-auth"}, func(l *Loaded) bool { return l.NoAuth == OnLoopback }},
		"no auth twice":   {[]string{"--no-auth", "--no-auth", "--listen", ":80"}, func(l *Loaded) bool { return l.NoAuth == Everywhere }},
		"no auth by name": {[]string{"--no-auth=everywhere"}, func(l *Loaded) bool { return l.NoAuth == Everywhere }},
		"listen twice": {[]string{"--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"}, func(l *Loaded) bool {
			return reflect.DeepEqual(l.Listen, []string{"127.0.0.1:1", "127.0.0.1:2"})
		}},
		"only with commas": {[]string{"--only", "a,b"}, func(l *Loaded) bool { return len(l.Capsules.Only) == 2 }},
		"bare bool":        {[]string{"--unsafe"}, func(l *Loaded) bool { return l.Capsules.Unsafe }},
		"bare demo":        {[]string{"--demo"}, func(l *Loaded) bool { return l.Demo == "on" }},
		"webhooks": {[]string{"--events-webhooks", "{url: http://a.example}", "--events-webhooks", "[{url: http://b.example, events: [x]}]"}, func(l *Loaded) bool {
			return len(l.Events.Webhooks) == 2 && l.Events.Webhooks[1].Events[0] == "x"
		}},
	} {
		l, err := Load(Sources{Flags: parsed(t, c.args...)})
		if err != nil || !c.is(l) {
			t.Errorf("%s: %v %+v", name, err, l.Config)
		}
	}
}

// TestProblems wants every mistake with its place, all at once.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"several at once": {"listen: nowhere\nlimmits:\n  body: 1\nlog:\n  levle: info\n  format: xml\nlimits: {body: -4, burst: many}\n", []string{
			`f.yaml:1:1: listen: "nowhere" is not HOST:PORT`, `f.yaml:2:1: limmits: there is no such key (did you mean limits?)`,
			`f.yaml:5:3: log.levle: there is no such key (did you mean log.level?)`, `f.yaml:6:11: log.format: "xml" is not one of text, json`,
			`f.yaml:7:16: limits.body: "-4" is not a size`, `f.yaml:7:27: limits.burst: "many" is not a whole number`}},
		"twice":                  {"data: a\ndata: b\n", []string{"f.yaml:2:1: data: it stands there twice, first in line 1"}},
		"a number as text":       {"data: 7\n", []string{"f.yaml:1:7: data: 7 is a number; quote it if it is meant as text"}},
		"a list for one":         {"data: [a]\n", []string{"f.yaml:1:7: data: want one value, not a list"}},
		"a scalar topic":         {"log: info\n", []string{`f.yaml:1:6: log: want a mapping of keys to values, not "info"`}},
		"not YAML":               {"a: [\n", []string{"f.yaml:1:4: this is not YAML"}},
		"a list":                 {"- a\n", []string{"want a mapping of keys to values, not a list"}},
		"a webhook's key":        {"events:\n  webhooks:\n    - ulr: http://x.example\n", []string{"f.yaml:3:7: events.webhooks[0].ulr: there is no such key (there are: name, url, secret, ca, events)"}},
		"an alias":               {"data: &a x\ndatabase: *a\n", []string{"f.yaml:1:7: data: want one value, not an anchor", "f.yaml:2:11: database: want one value, not an anchor"}},
		"a key in a wrong place": {"level: info\n", []string{"f.yaml:1:1: level: there is no such key (did you mean log.level?)"}},
		"no auth for all":        {"no_auth: true\nlisten: [':80']\n", []string{"f.yaml:1:1: no_auth: with listen :80 everybody", "no_auth: everywhere"}},
		"only a cert":            {"tls:\n  cert: a\n", []string{"f.yaml:2:3: tls.cert: tls.key is needed too"}},
		"only and without":       {"capsules: {only: a, without: b}\n", []string{"capsules.without: it and capsules.only exclude each other"}},
		"redirect to none":       {"tls: {redirect: ':80'}\n", []string{"there is no HTTPS to redirect to"}},
		"two documents":          {"data: a\n---\ndata: b\n", []string{"several documents"}},
		"webhook scheme":         {"events: {webhooks: [{url: 'file:///etc/passwd'}, {secret: x}]}\n", []string{"begins with http://", "entry 1 has no url"}},
		"not a proxy":            {"proxies: [10.0.0.0/99]\n", []string{`"10.0.0.0/99" is neither an address nor a network`}},
		"not a host":             {"tls: {acme: {hosts: ['*.x.org', 127.0.0.1]}}\n", []string{`"*.x.org" is not the full name`, `"127.0.0.1" is not the full name`}},
		"a sample over 1":        {"tracing: {sample: 2}\n", []string{"tracing.sample: 2 is not within 0..1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "f.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(Sources{File: file})
			if err == nil {
				t.Fatal("it was taken")
			}
			got := strings.ReplaceAll(err.Error(), file, "f.yaml")
			if n := strings.Count(got, "\n") + 1; len(c.want) > 2 && n != len(c.want) {
				t.Errorf("%d problems, want %d", n, len(c.want))
			}
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is missing in\n%s", w, got)
				}
			}
		})
	}
}

// TestEnvironment wants misspelt variables to be told, and secrets not.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	l, err := Load(Sources{Env: []string{"CAPSTAN_LISTNE=x", "CAPSTAN_MODELS=/m", "PATH=/bin", "CAPSTAN_DATA=", "CAPSTAN_CAPSULES=/a:/b", "CAPSTAN_ADMIN_PASSWORD=hunter22"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "did you mean $CAPSTAN_LISTEN?") {
		t.Errorf("warnings: %q", l.Warnings)
	}
	if l.Data != "capstan-data" || len(l.Capsules.Dirs) != 2 || string(l.AdminPassword) != "hunter22" {
		t.Errorf("%+v", l.Config)
	}
	if _, err := Load(Sources{Env: []string{"CAPSTAN_PPROF=perhaps"}}); err == nil || !strings.Contains(err.Error(), "$CAPSTAN_PPROF: pprof:") {
		t.Errorf("a wrong variable: %v", err)
	}
	if _, err := Load(Sources{File: "/nowhere/at/all.yaml"}); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all.yaml: it cannot be read") {
		t.Errorf("a missing file: %v", err)
	}
}

// TestPrint wants what is printed to be a file that means the same, without secrets.
func TestPrint(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f.yaml")
	text := "database: postgres://u:hunter21@h/d?sslkey=hunter22\nadmin_password: hunter23\nlimits: {body: 7MiB}\n" +
		"events:\n  mqtt: {password: hunter24}\n  webhooks:\n    - {url: 'https://u:hunter25@a.example/x?key=hunter26', secret: hunter27, events: [a, b]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Print(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String() + fmt.Sprintf("%v %+v %#v", l.Config, l.Config, l.Config); strings.Contains(s, "hunter") {
		t.Errorf("a secret is shown:\n%s", s)
	}
	for _, want := range []string{"body: 7MiB # " + file + ":3", "level: \"warn\" # default", "url: \"https://u:********@a.example/x?********\""} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	again := filepath.Join(t.TempDir(), "again.yaml")
	if err := os.WriteFile(again, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	l2, err := Load(Sources{File: again})
	if err != nil {
		t.Fatalf("what was printed cannot be read: %v\n%s", err, b.String())
	}
	for _, k := range Keys() {
		if k.text(&l.Config, true) != k.text(&l2.Config, true) {
			t.Errorf("%s: %s became %s", k.Name, k.text(&l.Config, true), k.text(&l2.Config, true))
		}
	}
}

// TestReference holds docs/reference/config.md against the struct.
func TestReference(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Reference(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "reference", "config.md")
	if *write {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the keys say (%v): go test ./server/config -run TestReference -write", file, err)
	}
}

// FuzzFile wants any file to be read or refused, and nothing else.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"", "data: x", "a: [", "listen: [a, b]\nlog: {level: info}", "events: {webhooks: [{url: x}]}", "? a\n: b", "&a *a", "- - -", "a: !!int 3", "<<: {a: b}", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Default()
		origins := map[string]Origin{}
		for _, p := range readFile("f", data, &c, origins) {
			if p.Text == "" || p.Line < 0 {
				t.Errorf("a problem without words or place: %+v", p)
			}
		}
		l := Loaded{Config: c, Origins: origins}
		_ = l.check()
		var b bytes.Buffer
		if err := l.Print(&b); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNumbers wants every key that is a number, a size or a time to have limits that hold, and
// nonsense to be refused with key, line and value, as a flag and in a variable too.
func TestNumbers(t *testing.T) {
	t.Parallel()
	nonsense := map[reflect.Kind][]string{
		reflect.Float64: {"-0.5", "-1", "NaN", ".nan", "+Inf", ".inf", "-Inf", "1e7", "1e300", "1e999", "90%", "many", "''"},
		reflect.Int:     {"-1", "1.5", "NaN", "100000000", "99999999999999999999", "many", "''"},
		reflect.Int64:   {"-1", "-4MiB", "-5s", "0", "NaN", "1e9", "5", "9000TiB", "99999999999999999999", "99999999999TiB", "100000h", "9999999999h", "3 parsecs", "''"}, // sizes and times
	}
	numbers := 0
	for _, k := range Keys() {
		bad := nonsense[k.kind.Kind()]
		if bad == nil || k.kind == reflect.TypeFor[Openness]() {
			continue
		}
		numbers++
		if k.Within[0] == "" || k.Within[1] == "" {
			t.Errorf("%s has no limits", k.Name)
			continue
		}
		for i, bound := range k.Within {
			if _, err := Load(Sources{File: fileOf(t, k, bound)}); err != nil && !(i == 0 && k.Name == "limits.burst") { // with a rate it has to be 1
				t.Errorf("%s: its own limit is refused: %v", k.Name, err)
			}
		}
		for _, text := range bad {
			refusesNumber(t, k, text)
		}
	}
	if numbers < 11 {
		t.Errorf("only %d keys are numbers", numbers)
	}
}

func refusesNumber(t *testing.T, k Key, text string) {
	t.Helper()
	file := fileOf(t, k, text)
	_, err := Load(Sources{File: file})
	value := strings.Trim(text, "'")
	if place := fmt.Sprintf("%s:%d:", file, strings.Count(k.Name, ".")+1); err == nil || !strings.Contains(err.Error(), place) ||
		!strings.Contains(err.Error(), k.Name+": ") || !strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %s in a file: %v", k.Name, text, err)
	}
	if value == "" {
		return
	}
	if _, err := Load(Sources{Env: []string{k.Env + "=" + value}}); err == nil || !strings.Contains(err.Error(), "$"+k.Env) || !strings.Contains(err.Error(), value) {
		t.Errorf("%s: %s in a variable: %v", k.Name, text, err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--" + k.Flag + "=" + value}); err == nil || !strings.Contains(err.Error(), "--"+k.Flag) {
		t.Errorf("%s: %s as a flag: %v", k.Name, text, err)
	}
}

// TestNumbersTogether are mistakes that no number makes by itself.
func TestNumbersTogether(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"admission:\n  cpu: 90\n":                                 "f.yaml:2:8: admission.cpu: 90 is not within 0.01..1",
		"admission: {cpu: 0}\n":                                   "admission.cpu: 0 is not within",
		"limits: {requests_per_second: 0.0001}\n":                 "limits.requests_per_second: 0.0001 is not within 0.1..1000000, nor 0 for no limit",
		"limits:\n  burst: 0\n":                                   "f.yaml:2:3: limits.burst: 0 lets no request in",
		"limits: {requests_per_second: 0, burst: 0}\n":            "",
		"admission: {cpu: 1, fps: 1000, streams: 0}\n":            "",
		"admission: {cpu: 0.01}\nlimits: {header_time: 100ms}\n":  "",
		"listen: ['127.0.0.1:99999']\n":                           `"127.0.0.1:99999" is not HOST:PORT`,
		"listen: ['127.0.0.1:-1']\nrtsp: {listen: '[::1]:1e3'}\n": `"[::1]:1e3" is not HOST:PORT`,
	} {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Sources{File: file})
		if got := strings.ReplaceAll(fmt.Sprint(err), file, "f.yaml"); (want == "") != (err == nil) || !strings.Contains(got, want) && want != "" {
			t.Errorf("%s\n%s", text, got)
		}
	}
}
