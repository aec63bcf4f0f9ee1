// Package config is the configuration of a server: one YAML file, whose every key is also a flag of
// capstan serve and an environment variable.
//
// The struct below is the only list of keys: flags, variables, the file's grammar, what is printed
// and the reference are all read off it. That is why there is no configuration library here: those
// merge maps and lose the line and column of a value, which is what somebody with a typing mistake
// needs. The YAML itself is parsed by goccy/go-yaml, which keeps places.
package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is everything that can be set. A field's key, default and meaning are in its tags; "sep"
// splits a list in a variable (a comma if nothing is said), "oneof" lists what is allowed, "within"
// has the least and the most of a number, a size or a time.
type Config struct {
	Data          string    `key:"data" default:"capstan-data" arg:"DIR" usage:"the folder of the database, of files and keys; made if it is not there"`
	Database      SecretURL `key:"database" arg:"URL" usage:"the database; empty: SQLite in the data folder, else postgres://USER:PASSWORD@HOST/NAME"`
	Listen        []string  `key:"listen" default:"127.0.0.1:8080" arg:"ADDRESS" usage:"where to answer, HOST:PORT; several are possible"`
	NoAuth        Openness  `key:"no_auth" default:"false" usage:"everybody is an administrator: true on loopback addresses only, everywhere on all (on the command line: give it twice)"`
	AdminPassword Secret    `key:"admin_password" arg:"PASSWORD" usage:"of the user admin that the first start makes; empty: one is generated and printed"`
	Demo          string    `key:"demo" default:"off" oneof:"off on remove" bare:"on" usage:"add a sample clip with a zone, an alarm and a person; remove takes them away"`

	Log       Log       `key:"log"`
	Capsules  Capsules  `key:"capsules"`
	TLS       TLS       `key:"tls"`
	Proxies   []string  `key:"proxies" arg:"CIDR" usage:"addresses of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8 or 10.1.2.3"`
	Limits    Limits    `key:"limits"`
	Metrics   string    `key:"metrics" default:"users" oneof:"off users anybody" usage:"who may read /metrics"`
	Pprof     bool      `key:"pprof" default:"true" usage:"profiles at /debug/pprof/, for administrators"`
	Tracing   Tracing   `key:"tracing"`
	Admission Admission `key:"admission"`
	RTSP      RTSP      `key:"rtsp"`
	Events    Events    `key:"events"`
}

// Log says what is logged to standard error.
type Log struct {
	Level  string `key:"level" default:"warn" oneof:"trace debug info warn error off" usage:"the least level that is logged, to standard error"`
	Format string `key:"format" default:"text" oneof:"text json" usage:"how a line looks"`
}

// Capsules says which capsules run.
type Capsules struct {
	Dirs          []string `key:"dirs" flag:"capsules" env:"CAPSTAN_CAPSULES" sep:":" arg:"DIR" usage:"folders with capsules, or packages NAME.cap; empty: those beside the program"`
	Only          []string `key:"only" flag:"only" arg:"a,b" usage:"use these capsules only"`
	Without       []string `key:"without" flag:"without" arg:"a,b" usage:"use all capsules but these"`
	Unsafe        bool     `key:"unsafe" flag:"unsafe" default:"false" usage:"do not confine capsules to what their manifests say they need (for development)"`
	RequireSigned bool     `key:"require_signed" flag:"require-signed" default:"false" usage:"run only packages that a key in $CAPSTAN_TRUST has signed"`
}

// TLS says how connections are encrypted: by files, by ACME, or not at all.
type TLS struct {
	Cert     string `key:"cert" arg:"FILE" usage:"certificate chain, PEM; read again when it changes"`
	Key      string `key:"key" arg:"FILE" usage:"private key, PEM"`
	Redirect string `key:"redirect" arg:"ADDRESS" usage:"answers plain HTTP, HOST:PORT: with ACME challenges, and redirects to HTTPS"`
	ACME     ACME   `key:"acme"`
}

// On says whether connections are encrypted.
func (t TLS) On() bool { return t.Cert != "" || len(t.ACME.Hosts) > 0 }

// ACME says how certificates are asked for.
type ACME struct {
	Hosts     []string `key:"hosts" arg:"NAME" usage:"names to get certificates for"`
	Email     string   `key:"email" arg:"ADDRESS" usage:"for the authority, when something is wrong with a certificate"`
	Directory string   `key:"directory" default:"https://acme-v02.api.letsencrypt.org/directory" arg:"URL" usage:"of the authority"`
	CA        string   `key:"ca" arg:"FILE" usage:"certificates to trust for the authority itself, PEM; empty: those of the system"`
}

// Limits bound what one client can take.
type Limits struct {
	Body       Bytes         `key:"body" default:"4MiB" within:"1KiB 1GiB" arg:"BYTES" usage:"of a JSON body"`
	Upload     Bytes         `key:"upload" default:"64GiB" within:"1KiB 1024TiB" arg:"BYTES" usage:"of an uploaded file"`
	Header     Bytes         `key:"header" default:"64KiB" within:"1KiB 16MiB" arg:"BYTES" usage:"of a request's headers"`
	HeaderTime time.Duration `key:"header_time" default:"10s" within:"100ms 1h" arg:"TIME" usage:"for a request's headers to arrive"`
	Rate       float64       `key:"requests_per_second" default:"1000" within:"0 1000000" arg:"N" usage:"of one address, and of one user's credentials; 0: no limit"`
	Burst      int           `key:"burst" default:"5000" within:"0 10000000" arg:"N" usage:"requests that may come at once"`
}

// Tracing says where traces go.
type Tracing struct {
	Endpoint SecretURL `key:"endpoint" arg:"URL" usage:"where OTLP over HTTP is taken, as http://127.0.0.1:4318; empty: no traces"`
	Sample   float64   `key:"sample" default:"0.01" within:"0 1" arg:"SHARE" usage:"share of frames that are traced; frames with an alert always are when any are"`
}

// Admission says what happens when more is asked for than the machine carries.
type Admission struct {
	Mode    string  `key:"mode" default:"refuse" oneof:"off warn refuse" usage:"what happens when analysing another stream would take more than there is"`
	CPU     float64 `key:"cpu" default:"0.9" within:"0.01 1" arg:"SHARE" usage:"share of the processors that streams may take; 1: all of them"`
	FPS     float64 `key:"fps" default:"5" within:"0.1 1000" arg:"N" usage:"frames a second that each stream is to have when frames have to be left out; 1000: none are to be left out"`
	Streams int     `key:"streams" default:"0" within:"0 1000000" arg:"N" usage:"streams that may be analysed at once; 0: as many as the machine carries"`
}

// RTSP is the server that shows files and webcams.
type RTSP struct {
	Listen    string `key:"listen" default:"auto" arg:"ADDRESS" usage:"where files and webcams are served as video, HOST:PORT; auto: port 8554 of the host of listen, or another where that is taken; off: nowhere"`
	Advertise string `key:"advertise" arg:"ADDRESS" usage:"HOST or HOST:PORT that stands in streams' URLs; empty: the host that the client has asked"`
}

// Address gives where to listen, empty for nowhere, and whether another port will do. http is the
// first address of the server itself.
func (r RTSP) Address(http string) (address string, elsewhere bool) {
	switch r.Listen {
	case "", "off":
		return "", false
	case "auto":
		host, _, _ := net.SplitHostPort(http) // it was checked
		return net.JoinHostPort(host, "8554"), true
	}
	return r.Listen, false
}

// Events says what is told outside, and to whom; docs/reference/events.md has the rest.
type Events struct {
	Detections bool          `key:"detections" default:"false" usage:"tell every tracked object once, beside alerts"`
	AllowLocal bool          `key:"allow_local" default:"false" usage:"events may go to this machine and its own network segment (loopback, link-local)"`
	Retain     time.Duration `key:"retain" default:"720h" within:"1m 87600h" arg:"TIME" usage:"how long events that could not be delivered are kept"`
	Webhooks   []Webhook     `key:"webhooks" arg:"YAML" usage:"where events are posted to: a list of {name, url, secret, ca, events}"`
	MQTT       MQTT          `key:"mqtt"`
	NATS       NATS          `key:"nats"`
}

// Webhook is one receiver of events.
type Webhook struct {
	Name   string    `key:"name" usage:"unique; empty: webhook 1, webhook 2…"`
	URL    SecretURL `key:"url" usage:"http:// or https://"`
	Secret Secret    `key:"secret" usage:"key of the signature, 16 bytes at least; empty: not signed"`
	CA     string    `key:"ca" usage:"file of certificates in PEM that stand in for those of the system"`
	Events []string  `key:"events" usage:"what to send, as alert.began or alert; empty: all"`
}

// MQTT is a broker that gets events.
type MQTT struct {
	URL      SecretURL `key:"url" arg:"URL" usage:"the broker, mqtt://HOST:PORT or mqtts://HOST:PORT; empty: none"`
	Topic    string    `key:"topic" default:"capstan/{stream}/{kind}" arg:"TOPIC" usage:"where events go"`
	User     string    `key:"user" arg:"NAME" usage:"to sign in with"`
	Password Secret    `key:"password" arg:"PASSWORD" usage:"to sign in with"`
	CA       string    `key:"ca" arg:"FILE" usage:"certificates in PEM that stand in for those of the system"`
	Events   []string  `key:"events" arg:"a,b" usage:"what to send, as alert.began or alert; empty: all"`
}

// NATS is a server that gets events.
type NATS struct {
	URL      SecretURL `key:"url" arg:"URL" usage:"the server, nats://HOST:PORT or tls://HOST:PORT; empty: none"`
	Subject  string    `key:"subject" default:"capstan.{stream}.{kind}" arg:"SUBJECT" usage:"where events go"`
	User     string    `key:"user" arg:"NAME" usage:"to sign in with; empty with a password: that is a token"`
	Password Secret    `key:"password" arg:"PASSWORD" usage:"to sign in with"`
	CA       string    `key:"ca" arg:"FILE" usage:"certificates in PEM that stand in for those of the system"`
	Events   []string  `key:"events" arg:"a,b" usage:"what to send, as alert.began or alert; empty: all"`
}

// hiddenText stands in for a secret.
const hiddenText = "********"

// Secret is text that is never shown: String masks it.
type Secret string

// String gives asterisks, or nothing where there is nothing.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hiddenText
}

// GoString keeps %#v from showing it.
func (s Secret) GoString() string { return s.String() }

// SecretURL is a URL that may have a password in it: String masks it.
type SecretURL string

// String gives the URL without the password and what may hide keys: the query.
func (s SecretURL) String() string {
	u, err := url.Parse(string(s))
	if err != nil {
		return Secret(s).String()
	}
	if _, has := u.User.Password(); has {
		u.User = url.User(u.User.Username() + ":" + hiddenText)
	}
	if u.RawQuery != "" {
		u.RawQuery = hiddenText
	}
	text, err := url.PathUnescape(u.String())
	if err != nil {
		return u.String()
	}
	return text
}

// GoString keeps %#v from showing it.
func (s SecretURL) GoString() string { return s.String() }

// Openness says who gets in without a name and password.
type Openness int

// Nobody does; everybody on this machine; everybody.
const (
	Closed Openness = iota
	OnLoopback
	Everywhere
)

// String gives the value as it stands in a file.
func (o Openness) String() string {
	return map[Openness]string{Closed: "false", OnLoopback: "true", Everywhere: "everywhere"}[o]
}

// ParseOpenness reads false, true or everywhere.
func ParseOpenness(s string) (Openness, error) {
	for _, o := range []Openness{Closed, OnLoopback, Everywhere} {
		if o.String() == s {
			return o, nil
		}
	}
	return Closed, fmt.Errorf("%q is not one of false, true, everywhere", s)
}

// Bytes is a size. It is written as 4MiB, 64KiB, 1GB or plain bytes.
type Bytes int64

var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1},
}

// ParseBytes reads a size.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.size {
			break
		}
		return Bytes(n * u.size), nil
	}
	return 0, fmt.Errorf("%q is not a size like 4MiB, 500kB or 1024", s)
}

// String gives the size in the largest unit that it is a multiple of.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b >= Bytes(u.size) && int64(b)%u.size == 0 && strings.HasSuffix(u.name, "iB") {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
