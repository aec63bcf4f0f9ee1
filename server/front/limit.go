package front

import (
	"container/list"
	"crypto/sha256"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients bounds the clients that are counted; the one that has not asked for longest is
// forgotten first.
const maxClients = 16384

// limiter counts the requests of addresses and of credentials.
type limiter struct {
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex
	clients map[any]*list.Element // of *client
	recent  *list.List            // the one that asked last in front
}

type client struct {
	key    any
	bucket *rate.Limiter
}

// newLimiter gives one that allows so many requests a second, nil for 0: everything.
func newLimiter(perSecond float64, burst int, now func() time.Time) *limiter {
	if perSecond <= 0 {
		return nil
	}
	return &limiter{rate: rate.Limit(perSecond), burst: max(burst, 1), now: now, clients: map[any]*list.Element{}, recent: list.New()}
}

// take counts a request, and says how long to wait when it is one too many. A request that has no
// end counts once. Credentials are counted as they are sent, because who is refused is not signed
// in first; nobody can use up the requests of another user without that one's password or token.
func (l *limiter) take(from netip.Addr, r *http.Request) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	wait := l.one(network(from), now)
	if who, ok := credentials(r); ok && wait == 0 {
		wait = l.one(who, now)
	}
	return wait
}

func (l *limiter) one(key any, now time.Time) time.Duration {
	e := l.clients[key]
	if e == nil {
		if l.recent.Len() >= maxClients {
			oldest := l.recent.Back()
			l.recent.Remove(oldest)
			delete(l.clients, oldest.Value.(*client).key)
		}
		e = l.recent.PushFront(&client{key, rate.NewLimiter(l.rate, l.burst)})
		l.clients[key] = e
	}
	l.recent.MoveToFront(e)
	wish := e.Value.(*client).bucket.ReserveN(now, 1)
	wait := wish.DelayFrom(now)
	if wait > 0 {
		wish.CancelAt(now)
	}
	return wait
}

// network gives what one client has for itself: an IPv4 address, or 64 bits of an IPv6 one.
func network(a netip.Addr) any {
	if a = a.Unmap(); a.Is6() {
		p, err := a.Prefix(64)
		if err == nil {
			return p
		}
	}
	return a
}

// credentials gives a fingerprint of what a request signs in with.
func credentials(r *http.Request) (fingerprint [sha256.Size]byte, ok bool) {
	text := r.Header.Get("Authorization")
	if text == "" {
		if c, err := r.Cookie("session_id"); err == nil {
			text = c.Value
		}
	}
	if text == "" {
		return fingerprint, false
	}
	return sha256.Sum256([]byte(text)), true
}

// seconds gives a wait in whole seconds, one at least.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// clientOf gives the address of who asks. What X-Forwarded-For says is believed as far as it comes
// from proxies that are known: from the right, up to the first address that is none of them.
func clientOf(r *http.Request, proxies []netip.Prefix) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	from := ap.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(from, proxies); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		from = a.Unmap().WithZone("")
	}
	return from
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func portOf(address string) uint16 {
	ap, _ := netip.ParseAddrPort(address)
	return ap.Port()
}
