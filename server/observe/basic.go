package observe

import (
	"encoding/base64"
	"net/url"
)

// basic gives a URL's user as HTTP Basic wants it.
func basic(u *url.Userinfo) string {
	password, _ := u.Password()
	return base64.StdEncoding.EncodeToString([]byte(u.Username() + ":" + password))
}
