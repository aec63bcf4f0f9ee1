package core

// Identity is somebody or something that is known by name. The JSON form is that of
// with_identity in results.
type Identity struct {
	ID         int64          `json:"id"`
	UniqueName string         `json:"unique_name"`
	Nickname   string         `json:"nickname"`
	Metadata   map[string]any `json:"metadata"`

	EmptyNickname bool `json:"-"` // an empty nickname was given, rather than none
}

// EncoderID names whose encodings can be compared with each other: those of one capsule in
// one version, "name@version".
type EncoderID string

// EncoderID gives the ID of the capsule's encodings.
func (d Declaration) EncoderID() EncoderID { return EncoderID(d.Name + "@" + d.Version) }
