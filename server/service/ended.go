package service

import (
	"maps"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
)

const (
	// endedFor is how long those who ask for the present snapshot are told of the end of an alert.
	endedFor = time.Second
	// maxEndings bounds what a subscriber that does not read is told of at once, and those who ask.
	maxEndings = 256
)

// endings gives the alerts of statuses that have ended.
func endings(list []ZoneStatus) (ended []core.Alert) {
	for _, z := range list {
		for _, a := range z.Alerts {
			if !a.End.IsZero() {
				ended = append(ended, a)
			}
		}
	}
	return ended
}

// withoutEnded gives statuses without the alerts that have ended; the same where there are none.
func withoutEnded(list []ZoneStatus) []ZoneStatus {
	if len(endings(list)) == 0 {
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		list[i].Alerts = slices.DeleteFunc(slices.Clone(list[i].Alerts), func(a core.Alert) bool { return !a.End.IsZero() })
	}
	return list
}

// withEnded gives statuses with alerts that ended before, which they do not have. Those of zones
// that are not there are left out.
func withEnded(list []ZoneStatus, ended []core.Alert) []ZoneStatus {
	byZone := map[core.ZoneID][]core.Alert{}
	for _, a := range ended {
		byZone[a.Zone] = append(byZone[a.Zone], a)
	}
	list = slices.Clone(list)
	for i, z := range list {
		list[i].Alerts = slices.Clip(z.Alerts) // others have it too
		for _, a := range byZone[z.Zone.ID] {
			if !slices.ContainsFunc(z.Alerts, func(b core.Alert) bool { return b.ID == a.ID }) {
				list[i].Alerts = append(list[i].Alerts, a)
			}
		}
	}
	return list
}

// newest bounds a list of endings.
func newest[T any](list []T) []T { return list[max(0, len(list)-maxEndings):] }

// with is the snapshot with alerts that ended before it, beside its own.
func (s *Snapshot) with(ended []core.Alert) *Snapshot {
	out := &Snapshot{Streams: maps.Clone(s.Streams), ended: newest(slices.Concat(ended, s.ended))}
	byStream := map[core.StreamNumber][]core.Alert{}
	for _, a := range ended {
		byStream[a.Stream] = append(byStream[a.Stream], a)
	}
	for n, list := range byStream {
		if there, ok := out.Streams[n]; ok {
			out.Streams[n] = withEnded(there, list)
		}
	}
	return out
}
