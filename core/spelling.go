package core

import (
	"slices"
	"strings"
)

// Nearest gives those of known that word may have been meant to be, the likeliest first:
// another case, a few letters off, or one being the beginning of the other. It compares at
// most the first 64 bytes.
func Nearest(word string, known []string) []string {
	type match struct {
		name string
		off  int
	}
	var found []match
	for _, k := range known {
		if off, ok := likeness(word, k); ok {
			found = append(found, match{k, off})
		}
	}
	slices.SortFunc(found, func(a, b match) int {
		if a.off != b.off {
			return a.off - b.off
		}
		return strings.Compare(a.name, b.name)
	})
	names := make([]string, 0, len(found))
	for _, m := range found {
		names = append(names, m.name)
	}
	return slices.Compact(names)
}

// likeness gives how far apart two names are, and whether that is near enough to ask. A third
// of the letters, and at least one, may differ.
func likeness(word, name string) (off int, near bool) {
	a, b := strings.ToLower(word[:min(len(word), 64)]), strings.ToLower(name[:min(len(name), 64)])
	if a == "" || b == "" {
		return 0, false
	}
	off = edits(a, b)
	if off <= max(1, len(b)/3) {
		return off, true
	}
	return off, min(len(a), len(b)) >= 3 && (strings.Contains(b, a) || strings.Contains(a, b))
}

// edits counts the bytes to insert, remove or replace to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
