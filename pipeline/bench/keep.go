package main

import (
	"os"
	"strings"
)

// keptFrom begins what others write into the file: scores of trackers, savings, comparisons.
const keptFrom = "<!-- what follows stays when make bench writes this file -->\n"

// writeTable writes the table to path and keeps what stands there by other hands.
func writeTable(path, table string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if _, kept, ok := strings.Cut(string(old), keptFrom); ok {
		table += "\n" + keptFrom + kept
	}
	return os.WriteFile(path, []byte(table), 0o644)
}
