package httpx

import "unicode/utf8"

// Credential reads a name or password of HTTP Basic: some clients send Latin-1, most UTF-8.
func Credential(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
