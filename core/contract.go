package core

import (
	"fmt"
	"slices"
)

// ReturnKind says in which form a capsule gave its result.
type ReturnKind int

// The forms. The numbers are those of the wire.
const (
	ReturnNull ReturnKind = 0 // nothing: the input nodes, as patched
	ReturnOne  ReturnKind = 1
	ReturnList ReturnKind = 2
)

// String gives null, one or list.
func (k ReturnKind) String() string {
	switch k {
	case ReturnNull:
		return "null"
	case ReturnOne:
		return "one node"
	case ReturnList:
		return "a list"
	default:
		return fmt.Sprintf("return kind %d", int(k))
	}
}

// Return is what one run of a capsule's code gave.
type Return struct {
	Kind     ReturnKind
	Node     NodeID   // SINGLE input: the node it ran for; 0 otherwise
	Returned []NodeID // nodes of the input that it gave back
	Patches  []Patch
	Added    []*Node // without IDs; the engine gives them
	Err      error   // this run failed; the rest is empty
}

// CheckReturn holds the form of a return against the sizes that the capsule declared (the
// return contract). It says nothing of the nodes in it.
func CheckReturn(in, out Size, r *Return) error {
	n := len(r.Returned) + len(r.Added)
	ok := false
	switch r.Kind {
	case ReturnNull:
		ok = n == 0 && in == out && in != SizeNone
	case ReturnOne:
		ok = n == 1 && out == SizeSingle
	case ReturnList:
		ok = out == SizeAll
	}
	if !ok {
		return Faultf(CapsuleContract, "return", "", "%s of %d nodes, from a capsule that takes %s and gives %s", r.Kind, n, in, out)
	}
	return nil
}

// Effective gives the IDs of the input nodes that are part of a return of the right form:
// for null all of the input, else those that were given back or patched.
func (r *Return) Effective(input []NodeID) []NodeID {
	if r.Kind == ReturnNull {
		if r.Node != 0 {
			return []NodeID{r.Node}
		}
		return input
	}
	ids := slices.Clone(r.Returned)
	for i := range r.Patches {
		if !slices.Contains(ids, r.Patches[i].Node) {
			ids = append(ids, r.Patches[i].Node)
		}
	}
	return ids
}
