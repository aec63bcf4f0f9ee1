package events_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/capstan-video/capstan/server/events"
)

// A receiver looks at the signature before it believes anything.
func ExampleVerify() {
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
	now, body := time.Unix(1_700_000_000, 0), []byte(`{"type":"capstan.alert.began"}`)
	signature, err := events.Sign(secret, "019ff4a0", now, body)
	if err != nil {
		fmt.Println(err)
		return
	}
	header := http.Header{}
	header.Set(events.HeaderID, "019ff4a0")
	header.Set(events.HeaderTimestamp, "1700000000")
	header.Set(events.HeaderSignature, signature)
	fmt.Println(events.Verify(secret, header, body, now, 5*time.Minute))
	fmt.Println(events.Verify(secret, header, []byte(`{"type":"capstan.alert.ended"}`), now, 5*time.Minute))
	// Output:
	// <nil>
	// webhook: signature: it is not that of the body
}
