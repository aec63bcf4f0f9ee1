package native

import (
	"encoding/json"
	"time"
)

// The objects of the wire. Members of answers are always there unless they say omitempty; lists
// and objects are never null. Inputs take no members that they do not name.

// whoAmI is the caller.
type whoAmI struct {
	User *int64 `json:"user" description:"Null: nobody by name; authorization is off."`
	Name string `json:"name"`
	Role string `json:"role" enum:"viewer,editor,admin"`
	Via  string `json:"via" enum:"nobody,password,session,token" description:"How the caller has shown who it is."`
}

type credentials struct {
	_        struct{} `additionalProperties:"false"`
	Name     string   `json:"name" required:"true" maxLength:"1024"`
	Password string   `json:"password" required:"true" maxLength:"1024"`
}

// pages are the parameters of every list.
type pages struct {
	Limit  int64  `query:"limit" default:"100" minimum:"1" maximum:"1000" description:"At most so many."`
	Cursor string `query:"cursor" description:"Where to read on: next of the page before. Its form may change."`
}

// page is a part of a list.
type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next" description:"The cursor of the next page; null: this is the last."`
	Total *int    `json:"total,omitempty" description:"How many there are in all, where that is known."`
}

type streamPath struct {
	Stream int64 `path:"stream" minimum:"1" description:"The ID of a stream."`
}

type connection struct {
	_         struct{} `additionalProperties:"false"`
	Kind      string   `json:"kind" required:"true" enum:"ip_camera,webcam,file"`
	URL       string   `json:"url,omitempty" maxLength:"65536" description:"ip_camera: rtsp://, rtsps://, http:// or https://. Its password is shown only to those who may change it."`
	Device    int64    `json:"device,omitempty" minimum:"0" maximum:"255" description:"webcam: the number N of /dev/videoN."`
	Blob      int64    `json:"blob,omitempty" minimum:"1" description:"file: the ID of the uploaded file. It is played at its own speed, over and over."`
	Transcode bool     `json:"transcode,omitempty" description:"file: it may be encoded anew to be shown."`
	Pipeline  string   `json:"pipeline,omitempty" maxLength:"65536" description:"A GStreamer pipeline of one's own, for administrators; empty: ours."`
}

type streamInput struct {
	_             struct{}       `additionalProperties:"false"`
	Name          string         `json:"name" required:"true" maxLength:"1024"`
	Premises      *int64         `json:"premises,omitempty" minimum:"1" description:"The ID of the premises that it belongs to; null: none."`
	Connection    connection     `json:"connection" required:"true"`
	KeyframesOnly bool           `json:"keyframes_only,omitempty" description:"Only key frames are decoded."`
	Metadata      map[string]any `json:"metadata,omitempty" description:"The user's own; kept as it is."`
	Analyze       bool           `json:"analyze,omitempty" description:"It is to be running."`
}

type stream struct {
	ID            int64          `json:"id"`
	Name          string         `json:"name"`
	Premises      *int64         `json:"premises"`
	Connection    connection     `json:"connection"`
	KeyframesOnly bool           `json:"keyframes_only"`
	Metadata      map[string]any `json:"metadata"`
	Analyze       bool           `json:"analyze"`
}

func (stream) tagged() {}

type streamState struct {
	Stream   int64      `json:"stream"`
	Analyze  bool       `json:"analyze" description:"It is to be running."`
	State    string     `json:"state" description:"connecting, running, stalled, failed or ended; empty: it is not running."`
	Since    *time.Time `json:"since"`
	Error    string     `json:"error" description:"Of the source, or which capsules it goes without and why; empty: none."`
	Attempts int64      `json:"attempts" description:"To open it, since it last gave a frame."`
	Frames   uint64     `json:"frames" description:"With results."`
	FPS      float64    `json:"fps" description:"Results a second, of the last seconds."`
	Dropped  uint64     `json:"dropped" description:"Frames that were left out, by whatever reason."`
}

type streamURL struct {
	URL string `json:"url" description:"Where a player finds the stream's video."`
}

type premisesPath struct {
	Premises int64 `path:"premises" minimum:"1" description:"The ID of premises."`
}

type premisesInput struct {
	_    struct{} `additionalProperties:"false"`
	Name string   `json:"name" required:"true" maxLength:"1024"`
}

type premises struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

func (premises) tagged() {}

type zonePath struct {
	Zone int64 `path:"zone" minimum:"1" description:"The ID of a zone."`
}

type zoneInput struct {
	_      struct{} `additionalProperties:"false"`
	Stream int64    `json:"stream" required:"true" minimum:"1"`
	Name   string   `json:"name" required:"true" minLength:"1" maxLength:"1024"`
	Coords []point  `json:"coords" required:"true" minItems:"2" maxItems:"10000" description:"Pixels of the frame: two points are a line, three or more the corners of a simple polygon."`
}

type point [2]float64

type zone struct {
	ID     int64   `json:"id"`
	Stream int64   `json:"stream"`
	Name   string  `json:"name"`
	Coords []point `json:"coords" description:"Empty: the whole frame, which is the zone Screen."`
}

func (zone) tagged() {}

type alarmPath struct {
	Alarm int64 `path:"alarm" minimum:"1" description:"The ID of an alarm."`
}

type alarmInput struct {
	_      struct{}         `additionalProperties:"false"`
	Zone   int64            `json:"zone" required:"true" minimum:"1"`
	Name   string           `json:"name" required:"true" maxLength:"1024"`
	Hours  *activeHours     `json:"hours,omitempty" description:"Null: always."`
	Counts []countCondition `json:"counts,omitempty" maxItems:"100" description:"All of them hold while the alarm is on."`
	Rates  []rateCondition  `json:"rates,omitempty" maxItems:"100" description:"All of them hold while the alarm is on."`
}

type alarm struct {
	ID     int64            `json:"id"`
	Zone   int64            `json:"zone"`
	Stream int64            `json:"stream"`
	Name   string           `json:"name"`
	Hours  *activeHours     `json:"hours"`
	Counts []countCondition `json:"counts"`
	Rates  []rateCondition  `json:"rates"`
}

func (alarm) tagged() {}

type activeHours struct {
	_     struct{} `additionalProperties:"false"`
	Start string   `json:"start" required:"true" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$" description:"UTC, HH:MM:SS. After the end: it goes over midnight."`
	End   string   `json:"end" required:"true" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$" description:"Not part of the hours."`
	Off   bool     `json:"off,omitempty" description:"The hours are kept and do not count: always."`
}

type objects struct {
	_         struct{}   `additionalProperties:"false"`
	Class     string     `json:"class" required:"true" maxLength:"1024"`
	Attribute *attribute `json:"attribute,omitempty" description:"Null: whatever they have."`
	Anchor    string     `json:"anchor,omitempty" enum:"bottom,top,left,right,center" description:"The point of a detection's box that is looked at; bottom by itself."`
}

type attribute struct {
	_     struct{} `additionalProperties:"false"`
	Name  string   `json:"name" required:"true" maxLength:"1024"`
	Value string   `json:"value" required:"true" maxLength:"1024"`
}

type countCondition struct {
	_         struct{} `additionalProperties:"false"`
	ID        int64    `json:"id,omitempty" minimum:"1" description:"Given by the server; one that is sent again is changed."`
	Objects   objects  `json:"objects" required:"true"`
	Test      string   `json:"test" required:"true" enum:">,<,=,!="`
	Value     float64  `json:"value" required:"true"`
	Window    float64  `json:"window,omitempty" minimum:"0" maximum:"1e9" description:"Seconds; 0: the frame alone."`
	Threshold float64  `json:"threshold,omitempty" minimum:"0" maximum:"1" description:"The share of the window in which the test has to hold; 0: once is enough."`
}

type rateCondition struct {
	_        struct{} `additionalProperties:"false"`
	ID       int64    `json:"id,omitempty" minimum:"1" description:"Given by the server; one that is sent again is changed."`
	Objects  objects  `json:"objects" required:"true"`
	Test     string   `json:"test" required:"true" enum:">=,<="`
	Change   float64  `json:"change" required:"true" description:"Objects that have moved so within the window."`
	Window   float64  `json:"window" required:"true" minimum:"0" maximum:"1e9" description:"Seconds."`
	Movement string   `json:"movement" required:"true" enum:"entering,exiting,entering_or_exiting"`
}

type alertPath struct {
	Alert int64 `path:"alert" minimum:"1" description:"The ID of an alert."`
}

type alert struct {
	ID       int64      `json:"id"`
	Alarm    int64      `json:"alarm"`
	Zone     int64      `json:"zone"`
	Stream   int64      `json:"stream"`
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end" description:"Null: it is on."`
	Verified *bool      `json:"verified" description:"What somebody has found it to be; null: nobody has looked."`
	Frame    bool       `json:"frame" description:"A picture of its begin is there."`
}

type verification struct {
	_        struct{} `additionalProperties:"false"`
	Verified *bool    `json:"verified" required:"true" description:"Null: nobody has looked."`
}

type boxes struct {
	Boxes bool `query:"boxes" description:"What was found is drawn on it."`
}

type capsulePath struct {
	Capsule string `path:"capsule" description:"The name of a capsule."`
}

type description struct {
	Size       string              `json:"size" enum:"none,single,all"`
	Detections []string            `json:"detections" description:"Classes; empty: any."`
	Attributes map[string][]string `json:"attributes"`
	Encoded    bool                `json:"encoded"`
	Tracked    bool                `json:"tracked"`
	ExtraData  []string            `json:"extra_data"`
}

type option struct {
	Name        string   `json:"name"`
	Type        string   `json:"type" enum:"float,int,enum,bool,str,secret,list,duration"`
	Default     any      `json:"default"`
	Min         *float64 `json:"min" description:"Seconds for durations; null: no limit."`
	Max         *float64 `json:"max"`
	Choices     []string `json:"choices" description:"Of type enum."`
	Description string   `json:"description"`
}

type capsule struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	Description string         `json:"description"`
	Input       description    `json:"input" description:"What it needs on a frame."`
	Output      description    `json:"output"`
	Capability  description    `json:"capability" description:"What it adds: output over input."`
	Options     []option       `json:"options"`
	Values      map[string]any `json:"values" description:"Options as they hold for all streams; secrets are empty."`
	Active      bool           `json:"active" description:"It has a part in all streams that do not say otherwise."`
	Removable   bool           `json:"removable" description:"It came over HTTP, and can be unloaded."`
	State       string         `json:"state" description:"running; restarting after it ended; broken: it could not be started, or ended too often, and streams go on without it."`
	Error       string         `json:"error" description:"Why it does not run; empty: it does."`
}

type capsuleUpload struct {
	_    struct{} `additionalProperties:"false"`
	Blob int64    `json:"blob" required:"true" minimum:"1" description:"The uploaded package NAME.cap."`
	Name string   `json:"name,omitempty" maxLength:"1024" description:"What it is to be called; empty: its own name."`
}

type setting struct {
	Capsule string         `json:"capsule"`
	Stream  *int64         `json:"stream" description:"Null: for all streams."`
	Active  *bool          `json:"active" description:"Null: as for all streams."`
	Options map[string]any `json:"options" description:"For one stream those only that are its own."`
}

func (setting) tagged() {}

type settingInput struct {
	_       struct{}       `additionalProperties:"false"`
	Active  *bool          `json:"active,omitempty"`
	Options map[string]any `json:"options,omitempty"`
}

type blob struct {
	ID      int64     `json:"id"`
	Type    string    `json:"type" description:"The media type that it was sent with."`
	Size    int64     `json:"size" description:"Bytes."`
	SHA256  string    `json:"sha256" description:"Of the content, in hexadecimal."`
	Created time.Time `json:"created"`
}

type blobPath struct {
	Blob int64 `path:"blob" minimum:"1" description:"The ID of a file."`
}

type identityPath struct {
	Identity int64 `path:"identity" minimum:"1" description:"The ID of an identity."`
}

type identityInput struct {
	_          struct{}       `additionalProperties:"false"`
	UniqueName string         `json:"unique_name" required:"true" minLength:"1" maxLength:"1024"`
	Nickname   string         `json:"nickname,omitempty" maxLength:"1024"`
	Metadata   map[string]any `json:"metadata,omitempty"`
}

type identity struct {
	ID         int64          `json:"id"`
	UniqueName string         `json:"unique_name"`
	Nickname   string         `json:"nickname"`
	Metadata   map[string]any `json:"metadata"`
}

func (identity) tagged() {}

type imageInput struct {
	_     struct{} `additionalProperties:"false"`
	Class string   `json:"class" required:"true" minLength:"1" maxLength:"1024" description:"Of the one object on the picture: face."`
	Blob  int64    `json:"blob" required:"true" minimum:"1" description:"The uploaded picture: JPEG or PNG."`
}

type vectorInput struct {
	_      struct{}  `additionalProperties:"false"`
	Class  string    `json:"class" required:"true" minLength:"1" maxLength:"1024"`
	Values []float64 `json:"values" required:"true" minItems:"1"`
}

type vector struct {
	ID       int64     `json:"id"`
	Identity int64     `json:"identity"`
	Class    string    `json:"class"`
	Blob     *int64    `json:"blob" description:"The picture that it was made from; null: it was given as it is."`
	Encoder  string    `json:"encoder" description:"The capsule and version that made it; empty: it was given as it is."`
	Values   []float64 `json:"values,omitempty"`
}

type vectorPath struct {
	Vector int64 `path:"vector" minimum:"1" description:"The ID of a vector."`
}

type userPath struct {
	User int64 `path:"user" minimum:"1" description:"The ID of a user."`
}

type userInput struct {
	_        struct{} `additionalProperties:"false"`
	Name     string   `json:"name" required:"true" minLength:"1" maxLength:"1024" pattern:"^[^:]*$"`
	Role     string   `json:"role" required:"true" enum:"viewer,editor,admin"`
	Password string   `json:"password,omitempty" maxLength:"72" description:"Needed for a new user; a change ends the sessions of the user."`
}

type user struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Role string `json:"role" enum:"viewer,editor,admin"`
}

func (user) tagged() {}

type tokenPath struct {
	Token int64 `path:"token" minimum:"1" description:"The ID of a token."`
}

type tokenInput struct {
	_       struct{}   `additionalProperties:"false"`
	Name    string     `json:"name" required:"true" minLength:"1" maxLength:"1024" description:"What it is for."`
	Role    string     `json:"role" required:"true" enum:"viewer,editor,admin" description:"No more than its user has."`
	Expires *time.Time `json:"expires,omitempty" description:"Null: never."`
	User    int64      `json:"user,omitempty" minimum:"1" description:"Whose it is, for administrators; by itself the caller's."`
}

type token struct {
	ID      int64      `json:"id"`
	User    int64      `json:"user"`
	Name    string     `json:"name"`
	Role    string     `json:"role" enum:"viewer,editor,admin"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires"`
	Used    *time.Time `json:"used" description:"Last, to five minutes; null: not yet."`
}

type newToken struct {
	token
	Secret string `json:"secret" description:"To be sent as \"Authorization: Bearer cap_…\". It is shown this once."`
}

type auditEntry struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	User   string    `json:"user"`
	Action string    `json:"action"`
	Object string    `json:"object" description:"What it was done to."`
}

type serverInfo struct {
	Version string    `json:"version"`
	Go      string    `json:"go"`
	Began   time.Time `json:"began"`
}

// detection is an object on a frame, as in the JSON lines of "capstan run".
type detection struct {
	ID         uint64                     `json:"id" description:"Unique within the session."`
	Class      string                     `json:"class_name"`
	Coords     []point                    `json:"coords" description:"Outline in frame pixels, origin top left; may leave the frame."`
	Attributes map[string]string          `json:"attributes"`
	ExtraData  map[string]json.RawMessage `json:"extra_data"`
	TrackID    *string                    `json:"track_id" description:"Null: not tracked."`
	Identity   *identity                  `json:"with_identity,omitempty" description:"Who it is taken for."`
	Children   []detection                `json:"children"`
	Encoding   []float32                  `json:"encoding,omitempty"`
}

// frame is a frame's line of "capstan run".
type frame struct {
	Seq        uint64            `json:"seq" description:"Number in its session, from 1; a gap is a drop."`
	PTS        float64           `json:"pts" description:"Seconds since the session's first frame."`
	Captured   time.Time         `json:"captured"`
	Detections []detection       `json:"detections"`
	Drops      map[string]uint64 `json:"drops,omitempty" description:"Since the frame before, by reason."`
}

// object is a detection in short.
type object struct {
	ID       uint64  `json:"id"`
	Class    string  `json:"class_name"`
	TrackID  *string `json:"track_id"`
	Identity string  `json:"identity,omitempty" description:"The unique name of whom it is taken for."`
}

type zoneStatus struct {
	Zone         int64             `json:"zone"`
	Name         string            `json:"name"`
	At           time.Time         `json:"at"`
	TotalEntered map[string]uint64 `json:"total_entered" description:"By class."`
	TotalExited  map[string]uint64 `json:"total_exited"`
	Within       []object          `json:"within"`
	Entering     []object          `json:"entering"`
	Exiting      []object          `json:"exiting"`
	Alerts       []alert           `json:"alerts" description:"That are on, and those that have ended with this status."`
}

// missed is what a reader of results was too slow for.
type missed struct {
	Skipped uint64  `json:"skipped" description:"Results that this reader was too slow for, of all its streams, since the one before."`
	Ended   []alert `json:"ended" description:"Alerts whose end stood in those."`
}

// result is what is new of a stream.
type result struct {
	missed
	Stream int64        `json:"stream"`
	Gone   bool         `json:"gone,omitempty" description:"The stream is no more."`
	Zones  []zoneStatus `json:"zones" description:"Empty: it is not analysed, or has given nothing yet."`
	Frame  *frame       `json:"frame,omitempty" description:"What was found on the frame, with detections=true."`
}

type status struct {
	Stream int64        `json:"stream"`
	Zones  []zoneStatus `json:"zones"`
}
