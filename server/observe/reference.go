package observe

import (
	"fmt"
	"io"
	"strings"
)

// Reference writes docs/reference/metrics.md.
func Reference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, m := range metricList {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	b.WriteString(referenceTail)
	_, err := io.WriteString(w, b.String())
	return err
}

const referenceHead = `# Metrics

<!-- Written by: go test ./server/observe -run TestReference -write -->

` + "`GET /metrics`" + ` gives what a server counts, as Prometheus reads it. The key ` + "`metrics`" + ` says who may read it:
users (by name and password, session or token), anybody, or nobody.

    curl -u admin:PASSWORD http://127.0.0.1:8080/metrics

Beside these there are Go's and the process's own, ` + "`go_…`" + ` and ` + "`process_…`" + `. Times are in seconds; the buckets
of latencies and calls are right within 4.5 %. Counts begin at 0 with the server, and grow over the
sessions of a stream: those of a stream that is switched off go on when it is switched on again.

| metric | kind | labels | what it is |
|---|---|---|---|
`

const referenceTail = `
How many series there are is bounded: streams that are analysed, capsules that are loaded, reasons
and kinds of fault of a short list, routes as they are registered. What clients make up (paths,
methods) is counted as ` + "`other`" + `.

## Examples

    # frames lost, a minute, by stream
    sum by (stream) (rate(capstan_stream_dropped_frames_total[1m]))
    # 99 % of the results were there in
    histogram_quantile(0.99, sum by (stream, le) (rate(capstan_stream_latency_seconds_bucket[5m])))
    # the share of a core that a capsule takes
    rate(capstan_capsule_compute_seconds_total[1m])
    # worth an alarm
    capstan_stream_state{state=~"stalled|failed"} == 1
    capstan_capsule_state{state!="running"} == 1
`
