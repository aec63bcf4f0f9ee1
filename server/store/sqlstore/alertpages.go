package sqlstore

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// partSize is how many alerts a part of a list has when it is made; one of twice as many is cut. A
// page skips partSize alerts at most, and looks at the parts of its list: to skip one alert costs
// about a fiftieth of what it costs to read one part, and this number keeps both below a millisecond
// for a million alerts. Migration 0004 has it too.
const partSize = 2048

// Kinds of lists, as the database numbers them.
const (
	listOfAll = iota
	listOfStream
	listOfZone
	listOfAlarm
)

// alertList is a list of alerts that the database keeps parts of.
type alertList struct {
	kind  int
	owner int64
}

// column is what the alerts of the list have in common, empty for all.
func (l alertList) column() string {
	return [...]string{"", "stream_id", "zone_id", "alarm_id"}[l.kind]
}

// where chooses the alerts of the list, or their changes.
func (l alertList) where(q *bun.SelectQuery) *bun.SelectQuery {
	if l.kind == listOfAll {
		return q
	}
	return q.Where("? = ?", bun.Ident(l.column()), l.owner)
}

// narrowest gives the list that a filter chooses from, and whether it names one alone.
func narrowest(f store.AlertFilter) (l alertList, alone bool) {
	named := 0
	for kind, owner := range []int64{0, int64(f.Stream), int64(f.Zone), int64(f.Alarm)} {
		if owner != 0 {
			l = alertList{kind, owner}
			named++
		}
	}
	return l, named < 2
}

// place is where an alert stands: lists are in the order of start, then ID.
type place struct {
	StartAt int64
	ID      int64
}

// theFirst is before any alert. The number below it is none that PostgreSQL reads as a BIGINT.
var theFirst = place{StartAt: math.MinInt64 + 1}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.StartAt, q.StartAt), cmp.Compare(p.ID, q.ID))
}

// part is a part of a list: the alerts from a place to the beginning of the next part.
type part struct {
	from place
	n    int
}

// parts gives the parts of a list, oldest first, with how many alerts of the wanted verifications
// each has; there is at least one, and the first begins with the first alert. It gives none when too
// much has changed lately to add it all up.
func (t *tx) parts(l alertList, wanted []store.Verification) ([]part, error) {
	var changes []struct {
		StartAt int64
		AlertID int64
		N       int
	}
	most := 8 * t.store.foldAt
	q := whereVerified(l.where(t.db.NewSelect().Table("alert_changes").Column("start_at", "alert_id", "n")), wanted)
	if err := t.failed(q.OrderExpr("change").Limit(int64(most+1)).Scan(t.ctx, &changes)); err != nil || len(changes) > most {
		return nil, err
	}
	var rows []struct {
		StartAt int64
		ID      int64
		N       int
	}
	err := t.failed(t.db.NewSelect().Table("alert_parts").Column("start_at", "id").ColumnExpr("? AS n", bun.Safe(counted(wanted))).
		Where("kind = ? AND owner = ?", l.kind, l.owner).OrderExpr("start_at, id").Scan(t.ctx, &rows))
	if err != nil {
		return nil, err
	}
	parts := make([]part, len(rows), len(rows)+1)
	for i, r := range rows {
		parts[i] = part{from: place{r.StartAt, r.ID}, n: r.N}
	}
	if len(parts) == 0 {
		parts = append(parts, part{})
	}
	parts[0].from = theFirst
	for _, c := range changes {
		at := place{c.StartAt, c.AlertID}
		next := sort.Search(len(parts), func(i int) bool { return parts[i].from.compare(at) > 0 })
		parts[next-1].n += c.N
	}
	return parts, nil
}

// counted is the number of alerts of some verifications in a row of alert_parts.
func counted(wanted []store.Verification) string {
	if len(wanted) == 0 {
		wanted = []store.Verification{store.Unverified, store.VerifiedTrue, store.VerifiedFalse}
	}
	columns := make([]string, len(wanted))
	for i, v := range wanted {
		columns[i] = "n_" + string(v)
	}
	return strings.Join(columns, " + ")
}

// way is how to come to a page: from a place, skipping some alerts.
type way struct {
	up   bool // to the newer ones, from the place on; else to the older ones, from before it
	from place
	tied bool // many alerts may begin at the same time as the one at the place
	skip int
}

// begins says that the way begins at an end of the list.
func (w way) begins() bool { return w.from == place{} }

// order is that in which the way goes.
func (w way) order() string {
	if w.up {
		return "start_at, id"
	}
	return "start_at DESC, id DESC"
}

// beyond leaves the alerts on the way, in a query of alertRow. SQLite looks for a pair in an index by
// its first half alone when the second is the ID: where many have the same, it is asked for those
// first, and then for the others.
func (w way) beyond(q *bun.SelectQuery, pairs bool) *bun.SelectQuery {
	if w.begins() {
		return q
	}
	same, others := "<", "<"
	if w.up {
		same, others = ">=", ">"
	}
	if pairs || !w.tied {
		return q.Where("(start_at, id) ? (?, ?)", bun.Safe(same), w.from.StartAt, w.from.ID)
	}
	return q.ModelTableExpr("(SELECT * FROM alerts WHERE start_at = ? AND id ? ? UNION ALL SELECT * FROM alerts WHERE start_at ? ?) AS alert_row",
		w.from.StartAt, bun.Safe(same), w.from.ID, bun.Safe(others), w.from.StartAt)
}

// fromEnd is the way to a page of n alerts from the nearer end of a list.
func fromEnd(total, offset, n int) way {
	if skip := total - offset - n; skip < offset {
		return way{up: true, skip: skip}
	}
	return way{skip: offset}
}

// fromPart is the way from the nearer end of the part in which a page of n alerts begins or ends.
func fromPart(parts []part, total, offset, n int) way {
	best := fromEnd(total, offset, n)
	older := total // alerts in this part and in those before it
	for i := len(parts) - 1; i >= 0; i-- {
		if i < len(parts)-1 {
			// Down from the end of this part; total-older are newer. Parts without such alerts are passed by.
			if skip := offset - (total - older); skip >= 0 && skip <= best.skip {
				best = way{from: parts[i+1].from, tied: tied(parts, i+1), skip: skip}
			}
		}
		older -= parts[i].n
		// Up from the beginning of this part; older are before it.
		if skip := total - offset - n - older; i > 0 && skip >= 0 && skip < best.skip {
			best = way{up: true, from: parts[i].from, tied: tied(parts, i), skip: skip}
		}
	}
	return best
}

// tied says whether a part and one beside it begin at the same time.
func tied(parts []part, i int) bool {
	at := parts[i].from.StartAt
	return i > 0 && parts[i-1].from.StartAt == at || i+1 < len(parts) && parts[i+1].from.StartAt == at
}

// alertPage reads a page of those alerts that f and which choose, newest first; total is how many there
// are. To skip an alert costs time too: a page far down is read from the beginning or end of a part.
func (t *tx) alertPage(f store.AlertFilter, wanted []store.Verification, total int, which func(*bun.SelectQuery) *bun.SelectQuery) ([]core.Alert, error) {
	n := max(total-f.Page.Offset, 0)
	if f.Page.Limit > 0 {
		n = min(n, f.Page.Limit)
	}
	if n == 0 {
		return []core.Alert{}, nil
	}
	way, err := t.wayTo(f, wanted, total, n)
	if err != nil {
		return nil, err
	}
	alerts, err := list[core.Alert, alertRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		return way.beyond(which(q), t.store.dialect.pairs).OrderExpr(way.order()).Limit(int64(n)).Offset(int64(way.skip))
	})
	if way.up {
		slices.Reverse(alerts)
	}
	return alerts, err
}

// wayTo is the shortest way to a page of n alerts, of so many that f chooses.
func (t *tx) wayTo(f store.AlertFilter, wanted []store.Verification, total, n int) (way, error) {
	straight := fromEnd(total, f.Page.Offset, n)
	// Few are on. Those that nobody has looked at may be few too, and far down: there is no index of them.
	if f.Open || straight.skip <= t.store.partSize/2 && !slices.Contains(wanted, store.Unverified) {
		return straight, nil
	}
	l, alone := narrowest(f)
	if !alone {
		// An alert is of its alarm's stream and zone, as a rule; who says all three says one.
		all, err := t.countAlerts(l.where, wanted, false)
		if err != nil || all != total {
			return straight, err
		}
	}
	parts, err := t.parts(l, wanted)
	if err != nil || len(parts) == 0 {
		return straight, err
	}
	sum := 0
	for _, p := range parts {
		sum += p.n
	}
	if sum != total {
		// Somebody has changed these tables by hand. The long way is right whatever they say.
		return straight, nil
	}
	return fromPart(parts, total, f.Page.Offset, n), nil
}

// countAlerts gives how many alerts there are, of some verifications and perhaps only those that are
// on, as the sum of counts that are kept beside them: to count a million rows would take longer than
// to read a page of them.
func (t *tx) countAlerts(of func(*bun.SelectQuery) *bun.SelectQuery, wanted []store.Verification, open bool) (n int, err error) {
	q := of(t.db.NewSelect().Table("alert_counts").ColumnExpr("CAST(COALESCE(SUM(n), 0) AS BIGINT)"))
	if len(wanted) > 0 {
		q = q.Where("verified IN (?)", bun.List(wanted))
	}
	if open {
		q = q.Where("ongoing")
	}
	return n, t.failed(q.Scan(t.ctx, &n))
}
