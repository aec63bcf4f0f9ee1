package pipeline

// underway knows which frames of a session have begun their walk and not ended it. The
// session's lock guards it.
type underway struct {
	tickets map[uint64]struct{} // as many as the window has room for
	waiters []waiter
}

// waiter is told when no frame below its ticket is left.
type waiter struct {
	below uint64
	gone  chan struct{}
}

func newUnderway() underway { return underway{tickets: map[uint64]struct{}{}} }

func (u *underway) begin(ticket uint64) { u.tickets[ticket] = struct{}{} }

func (u *underway) end(ticket uint64) {
	delete(u.tickets, ticket)
	var left []waiter
	for _, w := range u.waiters {
		if u.anyBelow(w.below) {
			left = append(left, w)
			continue
		}
		close(w.gone)
	}
	u.waiters = left
}

func (u *underway) anyBelow(ticket uint64) bool {
	for t := range u.tickets {
		if t < ticket {
			return true
		}
	}
	return false
}

// gone gives a channel that is closed when no frame below ticket is under way.
func (u *underway) gone(ticket uint64) <-chan struct{} {
	c := make(chan struct{})
	if u.anyBelow(ticket) {
		u.waiters = append(u.waiters, waiter{ticket, c})
	} else {
		close(c)
	}
	return c
}
