package pack

import (
	"os"
	"slices"

	"github.com/capstan-video/capstan/core"
)

// Report is what can be said of a package, for people and as JSON.
type Report struct {
	File       string            `json:"file"`
	Size       int64             `json:"size"` // of the file, in bytes
	Encrypted  bool              `json:"encrypted"`
	WorkFactor int               `json:"work_factor,omitempty"` // of the passphrase: see WorkFactor
	Locked     bool              `json:"locked,omitempty"`      // encrypted, and no key was given: nothing below is known
	Digest     string            `json:"digest,omitempty"`
	Name       string            `json:"name,omitempty"`
	Version    string            `json:"version,omitempty"`
	API        string            `json:"api,omitempty"`
	Describes  string            `json:"description,omitempty"`
	Needs      string            `json:"needs,omitempty"`
	Gives      string            `json:"gives,omitempty"`
	Programs   []ReportedProgram `json:"programs"`
	Files      []ReportedFile    `json:"files"`
	Signatures []ReportedSigner  `json:"signatures"`
	Models     []ReportedModel   `json:"models"`
	Licences   []string          `json:"licences"` // files that look like licences
	Manifest   string            `json:"manifest,omitempty"`
}

// ReportedProgram is the program of one platform.
type ReportedProgram struct {
	Platform string `json:"platform"`
	Path     string `json:"path"`
}

// ReportedFile is one file of a package.
type ReportedFile struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"`
	Executable bool   `json:"executable,omitempty"`
}

// ReportedSigner is a key that signed.
type ReportedSigner struct {
	Fingerprint string `json:"fingerprint"`
	Trusted     string `json:"trusted,omitempty"` // the name of the key among the trusted ones
}

// ReportedModel is a model file that the capsule needs.
type ReportedModel struct {
	File     string `json:"file"`
	Included bool   `json:"included"` // in the package; else it is fetched
	SHA256   string `json:"sha256"`
	URL      string `json:"url,omitempty"`
	Licence  string `json:"licence,omitempty"`
	Source   string `json:"source,omitempty"`
}

// Inspect opens the package at path and reports on it. An encrypted one without a key is no
// failure: the report says what can be known.
func Inspect(path string, key Key, trust Trust) (Report, error) {
	key = Once(orEnv(key))
	r := Report{File: path}
	if err := r.outside(); err != nil {
		return r, err
	}
	if r.Encrypted {
		s, err := key()
		if err != nil {
			return r, err
		}
		if r.Locked = s == ""; r.Locked {
			return r, nil
		}
	}
	p, err := Open(path, key)
	if err != nil {
		return r, err
	}
	defer p.Close()
	r.inside(p, trust)
	return r, nil
}

// outside notes what shows without a key.
func (r *Report) outside() error {
	f, err := os.Open(r.File)
	if err != nil {
		return core.Faultf(core.NotFound, "package", r.File, "%w", cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r.Size = info.Size()
	if r.Encrypted = IsEncrypted(f); r.Encrypted {
		r.WorkFactor = WorkFactor(f)
	}
	r.Programs, r.Files, r.Signatures, r.Models, r.Licences = []ReportedProgram{}, []ReportedFile{}, []ReportedSigner{}, []ReportedModel{}, []string{}
	return nil
}

func (r *Report) inside(p *Package, trust Trust) {
	m := p.Manifest
	r.Digest, r.Name, r.Version, r.API, r.Describes = p.Digest.String(), m.Name, m.Version, m.API, m.Description
	r.Needs, r.Gives, r.Manifest = m.Input.String(), m.Output.String(), string(p.Text)
	for _, e := range m.Programs {
		r.Programs = append(r.Programs, ReportedProgram(e))
	}
	for _, f := range m.Files {
		r.Files = append(r.Files, ReportedFile(f))
	}
	for _, s := range p.Signatures {
		t, _ := trust.Signer([]Signature{s})
		r.Signatures = append(r.Signatures, ReportedSigner{s.By.Fingerprint(), t.Name})
	}
	included := Included(m)
	for _, x := range m.Models {
		r.Models = append(r.Models, ReportedModel{x.File, slices.Contains(included, x.File), x.SHA256, x.URL, x.Licence, x.Source})
	}
	r.Licences = append(r.Licences, Licences(m)...)
}
