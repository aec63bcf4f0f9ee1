package detect

import (
	"fmt"
	"math"
)

// CTC reads a text from logits, step by step over an alphabet of which one character is the
// blank: the best of each step, repetitions joined, blanks left out. confidence is the geometric
// mean of the probabilities of the characters, 0 for an empty text.
func CTC(logits []float32, alphabet []rune, blank int) (text string, confidence float64, err error) {
	n := len(alphabet)
	if n == 0 || len(logits) == 0 || len(logits)%n != 0 || blank < 0 || blank >= n {
		return "", 0, fmt.Errorf("an output of %d numbers for an alphabet of %d", len(logits), n)
	}
	var runes []rune
	var best []float64 // log probability of each character, the largest of its steps
	last := blank
	for step := 0; step < len(logits); step += n {
		at, p := top(logits[step : step+n])
		switch {
		case at == blank:
		case at == last:
			best[len(best)-1] = math.Max(best[len(best)-1], p)
		default:
			runes, best = append(runes, alphabet[at]), append(best, p)
		}
		last = at
	}
	if len(runes) == 0 {
		return "", 0, nil
	}
	sum := 0.0
	for _, p := range best {
		sum += p
	}
	return string(runes), math.Exp(sum / float64(len(best))), nil
}

// top gives the place of the largest logit and the logarithm of its probability.
func top(logits []float32) (at int, p float64) {
	at, best := largest(logits)
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v - best))
	}
	if p = -math.Log(sum); math.IsNaN(p) {
		p = math.Inf(-1)
	}
	return at, p
}

// Softmax gives the place of the largest logit and its probability.
func Softmax(logits []float32) (at int, probability float64) {
	at, p := top(logits)
	return at, math.Exp(p)
}
