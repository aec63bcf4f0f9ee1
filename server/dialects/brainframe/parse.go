package brainframe

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/store"
)

// reader reads the members of a request's object; the first error stays, and what follows reads
// as zero.
type reader struct {
	o   httpx.Object
	err error
}

func open(v httpx.Value) *reader {
	o, err := v.Object()
	return &reader{o, err}
}

// need reads a member with get.
func need[T any](r *reader, name string, get func(httpx.Value) (T, error)) T {
	var zero T
	if r.err != nil {
		return zero
	}
	x, err := get(r.o.Get(name))
	if err != nil {
		r.err = err
		return zero
	}
	return x
}

// may reads a member that may be null or missing, and is otherwise then.
func may[T any](r *reader, name string, otherwise T, get func(httpx.Value) (T, error)) T {
	if r.err != nil || r.o.Get(name).Missing() {
		return otherwise
	}
	return need(r, name, get)
}

// id reads an ID that may be null: 0.
func id[T ~int64](r *reader, name string) T {
	return T(may(r, name, 0, func(v httpx.Value) (int64, error) {
		n, err := v.Int()
		if err == nil && n < 1 {
			err = v.Wrong("%d is not an ID; they begin at 1", n)
		}
		return n, err
	}))
}

// check keeps an error of a rule over several members.
func (r *reader) check(name string, ok bool, format string, args ...any) {
	if r.err == nil && !ok {
		r.err = r.o.Get(name).Wrong(format, args...)
	}
}

func objectMap(v httpx.Value) (map[string]any, error) {
	o, err := v.Object()
	if err != nil {
		return nil, err
	}
	return o.Map()
}

// oneOf reads a string that is one of the words.
func oneOf[T ~string](words ...T) func(httpx.Value) (T, error) {
	return func(v httpx.Value) (T, error) {
		s, err := v.Text()
		if err == nil && !slices.Contains(words, T(s)) {
			err = v.Wrong("%.40q is not one of %v", s, words)
		}
		return T(s), err
	}
}

// duration reads seconds, of at most about thirty years.
func duration(v httpx.Value) (float64, error) {
	s, err := v.Float()
	if err == nil && (s < 0 || s > 1e9) {
		err = v.Wrong("%v is not within 0..1e9 seconds", s)
	}
	return s, err
}

func listOf[T any](get func(httpx.Value) (T, error)) func(httpx.Value) ([]T, error) {
	return func(v httpx.Value) ([]T, error) {
		values, err := v.List()
		if err != nil {
			return nil, err
		}
		out := make([]T, len(values))
		for i := range values {
			if out[i], err = get(values[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

func parseStream(v httpx.Value) (core.StreamConfig, error) {
	r := open(v)
	s := core.StreamConfig{
		Number: id[core.StreamNumber](r, "id"), Name: need(r, "name", httpx.Value.Text), Premises: id[core.PremisesID](r, "premises_id"),
		Metadata: may(r, "metadata", map[string]any{}, objectMap),
	}
	kind := need(r, "connection_type", oneOf(core.IPCamera, core.Webcam, core.FileClip))
	s.Connection = need(r, "connection_options", func(v httpx.Value) (core.Connection, error) { return parseConnection(kind, v) })
	runtime := may(r, "runtime_options", runtimeValues{}, parseRuntime)
	s.KeyframesOnly, s.Said.Keyframes = runtime.keyframesOnly, runtime.said
	if r.err == nil {
		s.Said.Other, r.err = otherOptions(s.Connection, r.o.Get("connection_options"))
		s.Said.Transcode = kind == core.FileClip && saysTranscode(r.o.Get("connection_options"))
	}
	return s, r.err
}

// saysTranscode says whether options of a connection, which have been read, have transcode.
func saysTranscode(v httpx.Value) bool {
	o, err := v.Object()
	return err == nil && !o.Get("transcode").Missing()
}

// otherOptions gives the options of a connection that toConnection does not make of it.
func otherOptions(c core.Connection, v httpx.Value) (map[string]any, error) {
	other, err := objectMap(v)
	if err != nil {
		return nil, err
	}
	made := toConnection(c, core.Said{Transcode: true})
	maps.DeleteFunc(other, func(name string, given any) bool { return made[name] != nil && given != nil })
	if len(other) == 0 {
		return nil, nil
	}
	return other, nil
}

func parseConnection(kind core.ConnectionKind, v httpx.Value) (core.Connection, error) {
	r := open(v)
	c := core.Connection{Kind: kind, Pipeline: may(r, "pipeline", "", httpx.Value.Text)}
	switch kind {
	case core.IPCamera:
		c.URL = need(r, "url", httpx.Value.Text)
		r.check("url", strings.TrimSpace(c.URL) != "", "is empty")
	case core.Webcam:
		n := need(r, "device_id", httpx.Value.Int)
		r.check("device_id", n >= 0 && n < 1<<20, "%d is not the number of a device", n)
		c.Device = int(n)
	case core.FileClip:
		c.Blob = id[core.BlobID](r, "storage_id")
		r.check("storage_id", c.Blob > 0, "is missing; upload the file first")
		c.Transcode = may(r, "transcode", true, httpx.Value.Bool)
	}
	return c, r.err
}

// runtimeValues are the options that there are: one, and whether it is given.
type runtimeValues struct{ keyframesOnly, said bool }

func parseRuntime(v httpx.Value) (out runtimeValues, err error) {
	o, err := v.Object()
	if err != nil {
		return out, err
	}
	for _, name := range o.Names() {
		if name != "keyframes_only" {
			return out, refuse("InvalidRuntimeOptionError", fmt.Sprintf("there is no runtime option %.40q; there is keyframes_only", name))
		}
		out.said = true
		if out.keyframesOnly, err = o.Get(name).Bool(); err != nil {
			return out, refuse("InvalidRuntimeOptionError", err.Error())
		}
	}
	return out, nil
}

// parseZone reads a zone and the alarms in it, whose zone and stream are then left to the service.
func parseZone(v httpx.Value) (core.Zone, []core.Alarm, error) {
	r := open(v)
	z := core.Zone{ID: id[core.ZoneID](r, "id"), Name: need(r, "name", httpx.Value.Text), Stream: id[core.StreamNumber](r, "stream_id")}
	z.Coords = may(r, "coords", nil, func(v httpx.Value) (core.Polygon, error) { return listOf(parsePoint)(v) })
	alarms := may(r, "alarms", nil, listOf(parseAlarm))
	r.check("stream_id", z.Stream > 0 || z.ID > 0, "is missing: a new zone belongs to a stream")
	r.check("coords", len(z.Coords) > 1 || (z.ID > 0 && z.Coords == nil), "has %d points: two are a line, three or more a region", len(z.Coords))
	return z, alarms, r.err
}

// parsePoint reads [x,y], to the pixel.
func parsePoint(v httpx.Value) (core.Point, error) {
	xy, err := listOf(httpx.Value.Float)(v)
	if err != nil {
		return core.Point{}, err
	}
	if len(xy) != 2 {
		return core.Point{}, v.Wrong("has %d numbers; a point is [x, y]", len(xy))
	}
	for _, n := range xy {
		if math.Abs(n) > 1<<20 {
			return core.Point{}, v.Wrong("%v is not within any picture", n)
		}
	}
	return core.Point{X: math.RoundToEven(xy[0]), Y: math.RoundToEven(xy[1])}, nil
}

func parseAlarm(v httpx.Value) (core.Alarm, error) {
	r := open(v)
	a := core.Alarm{
		ID: id[core.AlarmID](r, "id"), Name: need(r, "name", httpx.Value.Text), Zone: id[core.ZoneID](r, "zone_id"), Stream: id[core.StreamNumber](r, "stream_id"),
		Counts: may(r, "count_conditions", nil, listOf(parseCount)), Rates: may(r, "rate_conditions", nil, listOf(parseRate)),
	}
	a.Hours = parseHours(r)
	return a, r.err
}

// noHours are what an alarm without active hours is told with.
var noHours = core.ActiveHours{End: 24*time.Hour - time.Second, Off: true}

// parseHours reads active hours. Those that are off may be left out.
func parseHours(r *reader) *core.ActiveHours {
	if need(r, "use_active_time", httpx.Value.Bool) {
		return &core.ActiveHours{Start: need(r, "active_start_time", parseTimeOfDay), End: need(r, "active_end_time", parseTimeOfDay)}
	}
	h := core.ActiveHours{
		Start: may(r, "active_start_time", noHours.Start, parseTimeOfDay), End: may(r, "active_end_time", noHours.End, parseTimeOfDay), Off: true,
	}
	if h == noHours {
		return nil
	}
	return &h
}

// parseTimeOfDay reads HH:MM:SS.
func parseTimeOfDay(v httpx.Value) (time.Duration, error) {
	s, err := v.Text()
	if err != nil {
		return 0, err
	}
	t, err := time.Parse(time.TimeOnly, s)
	if err != nil || len(s) != len(time.TimeOnly) {
		return 0, v.Wrong("%.40q is not a time of day as 07:30:00", s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, nil
}

func parseCount(v httpx.Value) (core.CountCondition, error) {
	r := open(v)
	c := core.CountCondition{
		ID: id[int64](r, "id"), Objects: parseObjects(r), Test: need(r, "test", oneOf(core.Greater, core.Less, core.Equal, core.NotEqual)),
		Value: float64(need(r, "check_value", httpx.Value.Int)), Threshold: may(r, "window_threshold", 0, httpx.Value.Float),
	}
	c.Window, c.Given = core.Window(may(r, "window_duration", 0, duration))
	r.check("window_threshold", c.Threshold >= 0 && c.Threshold <= 1, "%v is not within 0..1", c.Threshold)
	r.check("check_value", math.Abs(c.Value) < 1<<53, "is too large")
	return c, r.err
}

func parseRate(v httpx.Value) (core.RateCondition, error) {
	r := open(v)
	c := core.RateCondition{
		ID: id[int64](r, "id"), Objects: parseObjects(r), Test: need(r, "test", oneOf(core.GreaterEqual, core.LessEqual)),
		Change: need(r, "change", httpx.Value.Float), Movement: need(r, "direction", oneOf(core.Entering, core.Exiting, core.EnteringOrExiting)),
	}
	c.Window, c.Given = core.Window(need(r, "duration", duration))
	return c, r.err
}

func parseObjects(r *reader) core.Objects {
	return core.Objects{
		Class:  need(r, "with_class_name", httpx.Value.Text),
		Anchor: may(r, "intersection_point", core.AnchorBottom, oneOf(core.Anchors...)),
		Attribute: may(r, "with_attribute", nil, func(v httpx.Value) (*core.AttributeValue, error) {
			a := open(v)
			return &core.AttributeValue{Name: need(a, "category", httpx.Value.Text), Value: need(a, "value", httpx.Value.Text)}, a.err
		}),
	}
}

// parseTristate reads true, false or null.
func parseTristate(v httpx.Value) (*bool, error) {
	if v.Missing() {
		return nil, nil
	}
	b, err := v.Bool()
	return &b, err
}

// upload says which stored file is a capsule, and how it is to be called.
type upload struct {
	blob core.BlobID
	name string // empty: its own
}

func parseUpload(v httpx.Value) (upload, error) {
	r := open(v)
	u := upload{id[core.BlobID](r, "storage_id"), may(r, "name", "", httpx.Value.Text)}
	r.check("storage_id", u.blob > 0, "is missing; upload the capsule first")
	return u, r.err
}

// parseValues reads option values; those of types that the client does not know are turned back.
// null stays: it takes a value back.
func parseValues(d core.Declaration, v httpx.Value) (map[string]any, error) {
	m, err := objectMap(v)
	if err != nil {
		return nil, err
	}
	fromWire(d, m)
	return m, nil
}

func fromWire(d core.Declaration, values map[string]any) {
	for name, v := range values {
		o, ok := d.Option(name)
		text, isText := v.(string)
		if ok && isText && o.Type == core.ListOption {
			values[name] = split(text)
		}
	}
}

// split gives the entries of a list with commas, without blanks around them.
func split(text string) []string {
	list := []string{}
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

func parseIdentity(v httpx.Value) (core.Identity, error) {
	r := open(v)
	i := core.Identity{
		ID: id[int64](r, "id"), UniqueName: need(r, "unique_name", httpx.Value.Text),
		Nickname: may(r, "nickname", "", httpx.Value.Text), Metadata: may(r, "metadata", map[string]any{}, objectMap),
	}
	r.check("unique_name", i.UniqueName != "", "is empty")
	i.EmptyNickname = i.Nickname == "" && !r.o.Get("nickname").Missing()
	return i, r.err
}

// picture is a stored picture of an identity's object.
type picture struct {
	class string
	blob  core.BlobID
}

func parsePicture(v httpx.Value) (picture, error) {
	r := open(v)
	p := picture{need(r, "class_name", httpx.Value.Text), id[core.BlobID](r, "storage_id")}
	r.check("storage_id", p.blob > 0, "is missing; upload the picture first")
	return p, r.err
}

// vector is an encoding as it is given.
type vector struct {
	class  string
	values []float64
}

func parseVector(v httpx.Value) (vector, error) {
	r := open(v)
	w := vector{class: need(r, "class_name", httpx.Value.Text)}
	w.values = need(r, "vector", listOf(func(v httpx.Value) (float64, error) {
		f, err := v.Float()
		if err == nil && math.Abs(f) > math.MaxFloat32 {
			err = v.Wrong("%v does not fit into 32 bits", f)
		}
		return f, err
	}))
	r.check("vector", len(w.values) > 0, "is empty")
	return w, r.err
}

func parsePremises(v httpx.Value) (core.Premises, error) {
	r := open(v)
	p := core.Premises{ID: id[core.PremisesID](r, "id"), Name: need(r, "name", httpx.Value.Text)}
	return p, r.err
}

// parseUser reads a user and a password, which is empty when the old one is kept.
func parseUser(v httpx.Value) (core.User, string, error) {
	r := open(v)
	u := core.User{ID: id[core.UserID](r, "id"), Name: need(r, "username", httpx.Value.Text), Role: need(r, "role", oneOf(core.Editor, core.Admin))}
	password := may(r, "password", "", httpx.Value.Text)
	r.check("username", u.Name != "", "is empty")
	r.check("password", password != "" || u.ID > 0, "is missing: a new user needs one")
	return u, password, r.err
}

// parseTokens checks the cloud's tokens, which are used for nothing.
func parseTokens(v httpx.Value) (struct{}, error) {
	r := open(v)
	need(r, "access_token", httpx.Value.Text)
	need(r, "refresh_token", httpx.Value.Text)
	return struct{}{}, r.err
}

// job says what is to be done to a picture that is sent in.
type job struct {
	capsules []string
	options  map[string]map[string]any
}

func parseJob(v httpx.Value) (job, error) {
	r := open(v)
	j := job{capsules: need(r, "plugins", listOf(httpx.Value.Text)), options: map[string]map[string]any{}}
	o := may(r, "options", httpx.Object{}, httpx.Value.Object)
	for _, name := range o.Names() {
		if r.err == nil {
			j.options[name], r.err = objectMap(o.Get(name))
		}
	}
	return j, r.err
}

func page(q httpx.Query) (store.Page, error) {
	limit, _, err := q.Int("limit")
	if err != nil {
		return store.Page{}, err
	}
	offset, _, err := q.Int("offset")
	return store.Page{Limit: int(min(limit, math.MaxInt32)), Offset: int(min(offset, math.MaxInt32))}, err
}

// number reads an ID in a query; 0 is none, and not to be sent: it would choose everything.
func number[T ~int64](q httpx.Query, name string, err *error) T {
	n, sent, e := q.Int(name)
	if e == nil && sent && n == 0 {
		e = &httpx.FormatError{Field: name, Reason: "0 is not an ID; they begin at 1"}
	}
	if *err == nil {
		*err = e
	}
	return T(n)
}

func parseAlertFilter(q httpx.Query) (store.AlertFilter, error) {
	p, err := page(q)
	f := store.AlertFilter{
		Stream: number[core.StreamNumber](q, "stream_id", &err), Zone: number[core.ZoneID](q, "zone_id", &err),
		Alarm: number[core.AlarmID](q, "alarm_id", &err), Page: p,
	}
	for _, word := range split(q.Text("verification")) {
		v := store.Verification(word)
		if v != store.Unverified && v != store.VerifiedTrue && v != store.VerifiedFalse {
			return f, &httpx.FormatError{Field: "verification", Reason: fmt.Sprintf("%.40q is not one of unverified, true, false", word)}
		}
		if !slices.Contains(f.Verification, v) {
			f.Verification = append(f.Verification, v)
		}
	}
	return f, err
}

func parseIdentityFilter(q httpx.Query) (store.IdentityFilter, error) {
	p, err := page(q)
	f := store.IdentityFilter{UniqueName: q.Text("unique_name"), EncodedFor: q.Text("encoded_for_class"), Search: q.Text("search"), Page: p}
	if s := q.Text("sort_by"); s != "" && err == nil {
		field, order, _ := strings.Cut(s, ":")
		if !slices.Contains(store.IdentityOrders, field) || (order != "asc" && order != "desc") {
			return f, &httpx.FormatError{Field: "sort_by", Reason: fmt.Sprintf("%.40q is not one of %s, with :asc or :desc", s, strings.Join(store.IdentityOrders, ", "))}
		}
		f.SortBy, f.Descending = field, order == "desc"
	}
	return f, err
}

func parseVectorFilter(q httpx.Query) (store.VectorFilter, error) {
	var err error
	f := store.VectorFilter{Identity: number[int64](q, "identity_id", &err), Class: q.Text("class_name")}
	return f, err
}
