// Package core holds the nouns of Capstan as plain values: frame, caps, node, description,
// option, declaration, fault. It imports the standard library only, starts no goroutine and
// opens no file, so every other package can speak in its terms.
package core
