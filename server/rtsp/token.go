package rtsp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"

	"github.com/capstan-video/capstan/core"
)

// TokenLife is how long a URL lets somebody begin to watch. Who watches then may go on.
const TokenLife = 24 * time.Hour

// userPrefix begins the name in a URL; when it ends follows, in seconds since 1970.
const userPrefix = "until-"

// token gives the name and password for a stream. They stand in the URL, where every player takes
// them from, and are asked for by Digest, so that they do not cross the network.
func (s *Server) token(n core.StreamNumber, until time.Time) (user, password string) {
	user = userPrefix + strconv.FormatInt(until.Unix(), 10)
	mac := hmac.New(sha256.New, s.cfg.Key)
	fmt.Fprintf(mac, "capstan rtsp %d %s", n, user)
	return user, hex.EncodeToString(mac.Sum(nil)[:16])
}

// lets says whether a request has what the stream's URL had.
func (s *Server) lets(c *gortsplib.ServerConn, r *base.Request, n core.StreamNumber) bool {
	if s.cfg.Key == nil {
		return true
	}
	var a headers.Authorization
	user := userPrefix
	if err := a.Unmarshal(r.Header["Authorization"]); err == nil {
		user = a.Username
	}
	text, ok := strings.CutPrefix(user, userPrefix)
	seconds, err := strconv.ParseInt(text, 10, 64)
	until := time.Unix(seconds, 0)
	expected, password := s.token(n, until)
	good := c.VerifyCredentials(r, expected, password) // asked for in any case: it makes the challenge
	return good && ok && err == nil && s.cfg.Now().Before(until)
}
