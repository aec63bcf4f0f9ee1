package launchline

import "strings"

// scanner reads a text byte by byte.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) over() bool { return s.pos >= len(s.text) }

// peek gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.over() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) space() {
	for !s.over() && strings.IndexByte(" \t\r\n", s.peek()) >= 0 {
		s.pos++
	}
}

// run takes all bytes that are wanted.
func (s *scanner) run(wanted func(byte) bool) string {
	start := s.pos
	for !s.over() && wanted(s.peek()) {
		s.pos++
	}
	return s.text[start:s.pos]
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func inWord(c byte) bool   { return isLetter(c) || isDigit(c) || c == '_' || c == '-' }

// word takes a name that begins with a letter; empty when there is none.
func (s *scanner) word() string {
	if !isLetter(s.peek()) {
		return ""
	}
	return s.run(inWord)
}

func isWord(text string) bool {
	s := scanner{text: text}
	return s.word() != "" && s.over()
}

func (s *scanner) padName() string { return s.word() }

// quoted takes a text between quotes, without these. A backslash would change what comes after it.
func (s *scanner) quoted() (string, error) {
	quote, start := s.peek(), s.pos
	s.pos++
	text := s.run(func(c byte) bool { return c != quote && c >= ' ' && c < 0x7f && c != '\\' })
	if s.peek() != quote {
		return "", fault("at byte %d: the quote has no end, or a character before it that is not understood", start)
	}
	s.pos++
	return text, nil
}

// value takes what stands behind the = of a property.
func (s *scanner) value() (string, error) {
	s.space()
	start := s.pos
	if c := s.peek(); c == '"' || c == '\'' {
		text, err := s.quoted()
		if err == nil && !s.over() && strings.IndexByte(" \t\r\n!", s.peek()) < 0 {
			err = fault("at byte %d: something is behind the quote", s.pos)
		}
		return text, err
	}
	text := s.run(func(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte("\"'\\!", c) < 0 })
	if text == "" || !s.over() && strings.IndexByte(" \t\r\n!", s.peek()) < 0 {
		return "", fault("at byte %d: the value is not understood", start)
	}
	return text, nil
}
