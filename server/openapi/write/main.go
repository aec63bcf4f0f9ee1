// Command write writes the OpenAPI documents of the server again: make generate.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/capstan-video/capstan/server/dialects/brainframe"
	"github.com/capstan-video/capstan/server/dialects/native"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: write DIR")
		os.Exit(2)
	}
	for name, document := range map[string]func() ([]byte, error){
		"openapi.json": native.Document, "openapi-brainframe.json": brainframe.Document,
	} {
		b, err := document()
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[1], name), b, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
