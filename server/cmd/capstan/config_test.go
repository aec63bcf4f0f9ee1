package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfig runs config check and print.
func TestConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, bad, local := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "local.yaml")
	for file, text := range map[string]string{good: "log: {level: info}\nadmin_password: hunter2\n", bad: "lisen: [a]\nlog: {level: loud}\n",
		local: "events: {webhooks: [{url: 'http://127.0.0.1/x'}, {url: 'https://x.example/', secret: short}]}\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args   []string
		fails  bool
		output []string
	}{
		"good":   {[]string{"check", good}, false, []string{good + ": good"}},
		"bad":    {[]string{"check", bad}, true, []string{bad + ":1:1: lisen: there is no such key (did you mean listen?)", bad + `:2:14: log.level: "loud" is not one of`}},
		"events": {[]string{"check", local}, true, []string{"events: webhook 1: ", "events: webhook 2: ", "want at least 16"}},
		"print":  {[]string{"print", "--config", good, "--listen", "127.0.0.1:7"}, false, []string{`level: "info" # ` + good + ":1", `listen: ["127.0.0.1:7"] # --listen`, `admin_password: "********"`}},
	} {
		var out bytes.Buffer
		cmd := rootCommand()
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"config"}, c.args...))
		err := cmd.ExecuteContext(t.Context())
		if err != nil {
			out.WriteString(err.Error())
		}
		if (err != nil) != c.fails || strings.Contains(out.String(), "hunter2") {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
		for _, want := range c.output {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, out.String())
			}
		}
	}
}
