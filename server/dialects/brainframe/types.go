package brainframe

import "encoding/json"

// The objects of the wire, to the letter: every key is always there, lists and objects are never
// null. Section 6 of the contract.

type streamConfiguration struct {
	ID                int64          `json:"id"`
	Name              string         `json:"name"`
	PremisesID        *int64         `json:"premises_id"`
	ConnectionType    string         `json:"connection_type"`
	ConnectionOptions map[string]any `json:"connection_options"`
	RuntimeOptions    map[string]any `json:"runtime_options"`
	Metadata          map[string]any `json:"metadata"`
}

type point [2]int64

type zone struct {
	ID       int64       `json:"id"`
	Name     string      `json:"name"`
	StreamID int64       `json:"stream_id"`
	Coords   []point     `json:"coords" null:"true"` // null: the whole frame
	Alarms   []zoneAlarm `json:"alarms"`
}

type zoneAlarm struct {
	ID              int64            `json:"id"`
	Name            string           `json:"name"`
	ZoneID          int64            `json:"zone_id"`
	StreamID        int64            `json:"stream_id"`
	UseActiveTime   bool             `json:"use_active_time"`
	ActiveStartTime string           `json:"active_start_time"` // HH:MM:SS, UTC
	ActiveEndTime   string           `json:"active_end_time"`
	CountConditions []countCondition `json:"count_conditions"`
	RateConditions  []rateCondition  `json:"rate_conditions"`
}

type countCondition struct {
	ID                int64      `json:"id"`
	Test              string     `json:"test"`
	CheckValue        int64      `json:"check_value"`
	WithClassName     string     `json:"with_class_name"`
	WithAttribute     *attribute `json:"with_attribute"`
	WindowDuration    float64    `json:"window_duration"` // seconds
	WindowThreshold   float64    `json:"window_threshold"`
	IntersectionPoint string     `json:"intersection_point"`
}

type rateCondition struct {
	ID                int64      `json:"id"`
	Test              string     `json:"test"`
	Duration          float64    `json:"duration"` // seconds
	Change            float64    `json:"change"`
	Direction         string     `json:"direction"`
	WithClassName     string     `json:"with_class_name"`
	WithAttribute     *attribute `json:"with_attribute"`
	IntersectionPoint string     `json:"intersection_point"`
}

type attribute struct {
	Category string `json:"category"`
	Value    string `json:"value"`
}

type alert struct {
	ID         int64    `json:"id"`
	AlarmID    int64    `json:"alarm_id"`
	ZoneID     int64    `json:"zone_id"`
	StreamID   int64    `json:"stream_id"`
	StartTime  float64  `json:"start_time"` // seconds since 1970
	EndTime    *float64 `json:"end_time"`
	VerifiedAs *bool    `json:"verified_as"`
}

type detection struct {
	ClassName    string                     `json:"class_name"`
	Coords       []point                    `json:"coords"`
	Children     []detection                `json:"children"`
	Attributes   map[string]string          `json:"attributes"`
	WithIdentity *identity                  `json:"with_identity"`
	ExtraData    map[string]json.RawMessage `json:"extra_data"`
	TrackID      *string                    `json:"track_id"`
}

type zoneStatus struct {
	Zone         zone              `json:"zone"`
	Tstamp       float64           `json:"tstamp"`
	TotalEntered map[string]uint64 `json:"total_entered"`
	TotalExited  map[string]uint64 `json:"total_exited"`
	Within       []detection       `json:"within"`
	Entering     []detection       `json:"entering"`
	Exiting      []detection       `json:"exiting"`
	Alerts       []alert           `json:"alerts"`
}

type capsule struct {
	Name        string                   `json:"name"`
	Version     int64                    `json:"version"`
	Description string                   `json:"description"`
	InputType   nodeDescription          `json:"input_type"`
	OutputType  nodeDescription          `json:"output_type"`
	Capability  nodeDescription          `json:"capability"`
	Options     map[string]capsuleOption `json:"options"`
}

type nodeDescription struct {
	Size       string              `json:"size"`
	Detections []string            `json:"detections"`
	Attributes map[string][]string `json:"attributes"`
	Encoded    bool                `json:"encoded"`
	Tracked    bool                `json:"tracked"`
	ExtraData  []string            `json:"extra_data"`
}

type capsuleOption struct {
	Type        string         `json:"type"`
	Default     any            `json:"default"`
	Constraints map[string]any `json:"constraints"`
	Description *string        `json:"description"`
}

type identity struct {
	ID         int64          `json:"id"`
	UniqueName string         `json:"unique_name"`
	Nickname   *string        `json:"nickname"` // null: none; the desktop client then shows the unique name
	Metadata   map[string]any `json:"metadata"`
}

type encoding struct {
	ID         int64     `json:"id"`
	IdentityID int64     `json:"identity_id"`
	ClassName  string    `json:"class_name"`
	FromImage  *int64    `json:"from_image"`
	Vector     []float64 `json:"vector"`
}

type encodingClass struct {
	ClassName string `json:"class_name"`
}

type premises struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type user struct {
	ID       int64   `json:"id"`
	Username string  `json:"username"`
	Password *string `json:"password"` // always null
	Role     string  `json:"role"`
}

type licenseInfo struct {
	State string       `json:"state"`
	Terms licenseTerms `json:"terms"`
}

type licenseTerms struct {
	OnlineCheckin        bool    `json:"online_checkin"`
	MaxStreams           int64   `json:"max_streams"`
	JournalMaxAllowedAge float64 `json:"journal_max_allowed_age"` // seconds
	ExpirationDate       *string `json:"expiration_date"`         // YYYY-MM-DD
}

type oauth2Info struct {
	Domain   string   `json:"domain"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
}

type streamURL struct {
	URL     string `json:"url"`
	RTSPURL string `json:"rtsp_url"`
}

// failure is the body of every answer from 400 on.
type failure struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}
