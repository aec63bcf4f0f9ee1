package native

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/store"
)

// mapped converts a list; the result is never nil.
func mapped[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

// badCursor refuses a cursor that this server has not given.
func badCursor(s string) error {
	return &httpx.FormatError{Field: "cursor", Reason: fmt.Sprintf("%.40q is none that was given here", s)}
}

// after reads a cursor that is an ID; 0: none.
func (p pages) after() (int64, error) {
	if p.Cursor == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(p.Cursor, 10, 64)
	if err != nil || n < 0 {
		return 0, badCursor(p.Cursor)
	}
	return n, nil
}

// cut gives a page of a list whose keys grow, and its length as the total.
func cut[A, B any](list []A, p pages, id func(A) int64, to func(A) B) (page[B], error) {
	after, err := p.after()
	if err != nil {
		return page[B]{}, err
	}
	from := 0
	for from < len(list) && after > 0 && id(list[from]) <= after {
		from++
	}
	total := len(list)
	out, err := more(list[from:], p, id, to)
	out.Total = &total
	return out, err
}

// more makes a page of what comes next: one more than the limit says that there is another page.
func more[A, B any](list []A, p pages, id func(A) int64, to func(A) B) (page[B], error) {
	var out page[B]
	if int64(len(list)) > p.Limit {
		list = list[:p.Limit]
		next := strconv.FormatInt(id(list[len(list)-1]), 10)
		out.Next = &next
	}
	out.Items = mapped(list, to)
	return out, nil
}

// offset reads a cursor that is a number of rows, for lists in an order of their own.
func (p pages) offset() (store.Page, error) {
	n, err := p.after()
	if err == nil && n > 1<<31-1 {
		err = badCursor(p.Cursor)
	}
	return store.Page{Limit: int(p.Limit), Offset: int(n)}, err
}

func nextOffset(at store.Page, got, total int) *string {
	if got == 0 || at.Offset+got >= total {
		return nil
	}
	s := strconv.Itoa(at.Offset + got)
	return &s
}

// place reads a cursor of alerts: microseconds and ID.
func (p pages) place() (store.AlertPlace, error) {
	if p.Cursor == "" {
		return store.AlertPlace{}, nil
	}
	first, second, _ := strings.Cut(p.Cursor, ".")
	us, err := strconv.ParseInt(first, 10, 64)
	id, e := strconv.ParseInt(second, 10, 64)
	if err != nil || e != nil || id < 1 {
		return store.AlertPlace{}, badCursor(p.Cursor)
	}
	return store.AlertPlace{Start: time.UnixMicro(us).UTC(), ID: core.AlertID(id)}, nil
}

func placeOf(a core.Alert) *string {
	s := fmt.Sprintf("%d.%d", a.Start.UnixMicro(), a.ID)
	return &s
}
