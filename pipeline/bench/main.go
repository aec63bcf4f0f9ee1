// Command bench measures what Capstan adds to decoding, against GStreamer alone, in one run on
// one machine: rounds of every variant in turn, median and spread of the ratios.
//
// It fails when a frame was not served, was copied where it should not be, or when a capsule's
// checksum of a frame is not that of a decoder of its own. Times never make it fail.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const taskEnv = "CAPSTAN_BENCH_TASK"

func main() {
	if serveCapsule() {
		return
	}
	var err error
	if t := os.Getenv(taskEnv); t != "" {
		err = runTask(t)
	} else {
		err = bench()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func bench() error {
	rounds := flag.Int("rounds", 5, "rounds of every variant")
	capstan := flag.String("capstan", "bin/capstan", "the program, for a clip where there is no footage")
	write := flag.String("write", "", "write the table to this file as well")
	work := flag.String("work", "out/bench", "folder for the clips made here")
	only := flag.String("only", "", "variants to run, separated by commas; the table then has these alone, without goals")
	flag.Parse()
	if *rounds < 1 {
		return errors.New("-rounds: want 1 or more")
	}
	if err := os.MkdirAll(*work, 0o755); err != nil {
		return err
	}
	clips, err := makeClips(*work, *capstan)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "checking every frame's checksum")
	frames, err := checkSums(clips.full)
	if err != nil {
		return err
	}
	m := &measurement{clips: clips, frames: frames, samples: map[string][]sample{}}
	for r := range *rounds {
		for _, v := range variants {
			if *only != "" && !slices.Contains(strings.Split(*only, ","), v.name) {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", r+1, *rounds, v.name)
			if err := m.measure(v); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	table := m.table(*rounds)
	fmt.Print(table)
	if *write != "" {
		return writeTable(filepath.Clean(*write), table)
	}
	return nil
}
