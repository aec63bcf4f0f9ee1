package observe

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// Guard knows people, as the service does.
type Guard interface {
	Authenticate(ctx context.Context, name, password string) (service.Caller, string, error)
	Resume(ctx context.Context, token string) (service.Caller, error)
	Bearer(ctx context.Context, secret string) (service.Caller, error)
	Anonymous() (service.Caller, error)
}

// maxRemembered bounds the sessions of those who read metrics.
const maxRemembered = 64

// door finds out who asks. Who signs in by password gets a session that is used the next time: a
// scrape every few seconds would else cost a hash and leave a session behind each time.
type door struct {
	svc Guard

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]string // by what was signed in with
}

func newDoor(svc Guard) *door { return &door{svc: svc, sessions: map[[sha256.Size]byte]string{}} }

// who gives the caller; Denied when nobody is known.
func (d *door) who(r *http.Request) (service.Caller, error) {
	ctx := r.Context()
	if anybody, err := d.svc.Anonymous(); err == nil {
		return anybody, nil
	}
	header := r.Header.Get("Authorization")
	if secret, ok := strings.CutPrefix(header, "Bearer "); ok {
		return d.svc.Bearer(ctx, secret)
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		if cookie, err := r.Cookie("session_id"); err == nil {
			return d.svc.Resume(ctx, cookie.Value)
		}
		return service.Caller{}, core.Faultf(core.Denied, "", "credentials", "a name and a password are needed")
	}
	key := sha256.Sum256([]byte(header))
	d.mu.Lock()
	session := d.sessions[key]
	d.mu.Unlock()
	if session != "" {
		if who, err := d.svc.Resume(ctx, session); err == nil {
			return who, nil
		}
	}
	who, session, err := d.svc.Authenticate(service.From(ctx, r.RemoteAddr), name, password)
	if err == nil {
		d.remember(key, session)
	}
	return who, err
}

func (d *door) remember(key [sha256.Size]byte, session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sessions) >= maxRemembered {
		clear(d.sessions)
	}
	d.sessions[key] = session
}
