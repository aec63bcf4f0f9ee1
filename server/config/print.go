package config

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the configuration as a file that can be read again, with where each value came from
// behind it. Secrets are masked.
func (l *Loaded) Print(w io.Writer) error {
	var b strings.Builder
	var topics []string
	for _, k := range Keys() {
		path := strings.Split(k.Name, ".")
		head := path[:len(path)-1]
		for i := range head {
			if i < len(topics) && topics[i] == head[i] {
				continue
			}
			topics = append(topics[:min(i, len(topics))], head[i])
			fmt.Fprintf(&b, "%s%s:\n", indent(i), head[i])
		}
		topics = topics[:min(len(topics), len(head))]
		fmt.Fprintf(&b, "%s%s: %s # %s\n", indent(len(head)), path[len(head)], k.yaml(&l.Config), l.Origins[k.Name])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(n int) string { return strings.Repeat("  ", n) }

// String gives "default", "--flag", "$VARIABLE" or "FILE:LINE".
func (o Origin) String() string {
	if o.Line == 0 {
		return o.Source
	}
	return fmt.Sprintf("%s:%d", o.Source, o.Line)
}

// yaml gives the value as it stands in a file, masked.
func (k Key) yaml(c *Config) string {
	v := k.in(c)
	switch {
	case k.structs():
		return yamlText(v, true)
	case k.list():
		return flowText(v, true)
	case v.Kind().String() == "string":
		return fmt.Sprintf("%q", scalarText(v, true))
	default:
		return scalarText(v, true)
	}
}

// Reference writes docs/reference/config.md.
func Reference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	topic := ""
	for _, k := range Keys() {
		t, _, nested := strings.Cut(k.Name, ".")
		if !nested {
			t = "general"
		}
		if t != topic {
			topic = t
			fmt.Fprintf(&b, "\n## %s\n\n| key | flag | variable | default | what it is |\n|---|---|---|---|---|\n", title(t))
		}
		usage := k.Usage
		if len(k.OneOf) > 0 {
			usage += ": `" + strings.Join(k.OneOf, "`, `") + "`"
		}
		if k.Within[1] != "" {
			usage += "; " + k.Within[0] + " to " + k.Within[1]
		}
		def := ""
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | `%s` | %s | %s |\n", k.Name, k.Flag, k.Env, def, usage)
	}
	b.WriteString(referenceTail)
	_, err := io.WriteString(w, b.String())
	return err
}

func title(topic string) string {
	if upper := strings.ToUpper(topic); upper == "TLS" || upper == "RTSP" {
		return upper
	}
	return strings.ToUpper(topic[:1]) + topic[1:]
}

const referenceHead = `# Configuration of a server

<!-- Written by: go test ./server/config -run TestReference -write -->

` + "`capstan serve`" + ` takes every setting from four places: a flag is stronger than an environment
variable, that than the file, and that than the default.

    capstan serve --config /etc/capstan/capstan.yaml
    capstan config check /etc/capstan/capstan.yaml
    capstan config print --config /etc/capstan/capstan.yaml --listen 127.0.0.1:8081

The file is YAML; dots in a key are levels, so ` + "`log.level`" + ` is

    log:
      level: info

It is read strictly: a key that is not known is an error, with line and column and the nearest key
that there is. ` + "`config check`" + ` tells all errors at once; ` + "`config print`" + ` shows what holds and where each
value came from, with secrets masked. A list is a YAML list, several flags, or one variable with
commas (` + "`CAPSTAN_CAPSULES`" + `: colons). Sizes are written as ` + "`4MiB`" + `, ` + "`500kB`" + ` or bytes, times as ` + "`10s`" + `, ` + "`5m`" + `,
` + "`24h`" + `. ` + "`$CAPSTAN_CONFIG`" + ` names the file where no flag does. An empty variable is as none.
`

const referenceTail = `
## A webhook

    events:
      webhooks:
        - url: https://example.com/capstan
          secret: a long random text
          events: [alert.began, alert.ended]

The same on the command line: ` + "`--events-webhooks '{url: https://example.com/capstan, secret: …}'`" + `.
`
