package core

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Model is a file that a capsule needs and does not bring along, because of its size or licence.
type Model struct {
	File    string // the name under which it is looked for, without folders
	URL     string // where it can be had; empty: nowhere by itself
	SHA256  string // of its content, 64 lower-case hexadecimal digits
	Licence string // as its source states it
	Source  string // whose work it is, for people
}

var sha256Text = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (m Model) validate() error {
	if m.File == "" || strings.ContainsAny(m.File, "/\\\x00") || m.File == "." || m.File == ".." {
		return fmt.Errorf("%q is not a file name without folders", m.File)
	}
	if !sha256Text.MatchString(m.SHA256) {
		return fmt.Errorf("%s: sha256 %q is not 64 hexadecimal digits in lower case", m.File, m.SHA256)
	}
	if _, err := url.Parse(m.URL); err != nil {
		return fmt.Errorf("%s: url %q cannot be read", m.File, m.URL)
	}
	return nil
}

func (d Declaration) checkModels() error {
	seen := map[string]bool{}
	for _, m := range d.Models {
		if err := m.validate(); err != nil {
			return fmt.Errorf("models: %w", err)
		}
		if seen[m.File] {
			return fmt.Errorf("models: %q stands there twice", m.File)
		}
		seen[m.File] = true
	}
	return nil
}
