package brainframe

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/openapi"
)

// What is read, as the vendor's client writes it. Members that are not named are passed over.

type streamConfigurationInput struct {
	ID                *int64         `json:"id" description:"Null: a new one."`
	Name              string         `json:"name" required:"true"`
	PremisesID        *int64         `json:"premises_id"`
	ConnectionType    string         `json:"connection_type" required:"true" enum:"ip_camera,webcam,file"`
	ConnectionOptions map[string]any `json:"connection_options" required:"true" description:"ip_camera: url; webcam: device_id; file: storage_id, transcode. All: pipeline."`
	RuntimeOptions    map[string]any `json:"runtime_options" description:"keyframes_only; or nothing."`
	Metadata          map[string]any `json:"metadata"`
}

type runtimeOptions struct {
	KeyframesOnly bool `json:"keyframes_only,omitempty"`
}

type zoneInput struct {
	ID       *int64           `json:"id" description:"Null: a new one."`
	Name     string           `json:"name" required:"true"`
	StreamID *int64           `json:"stream_id"`
	Coords   []pointInput     `json:"coords" null:"true" description:"Null: Screen stays as it is. Two points are a line, three or more a polygon."`
	Alarms   []zoneAlarmInput `json:"alarms"`
}

type pointInput [2]float64

type zoneAlarmInput struct {
	ID              *int64                `json:"id" description:"Null: a new one."`
	Name            string                `json:"name" required:"true"`
	ZoneID          *int64                `json:"zone_id"`
	StreamID        *int64                `json:"stream_id"`
	UseActiveTime   bool                  `json:"use_active_time" required:"true"`
	ActiveStartTime string                `json:"active_start_time" description:"HH:MM:SS, UTC."`
	ActiveEndTime   string                `json:"active_end_time" description:"HH:MM:SS, UTC."`
	CountConditions []countConditionInput `json:"count_conditions"`
	RateConditions  []rateConditionInput  `json:"rate_conditions"`
}

type countConditionInput struct {
	ID                *int64     `json:"id" description:"Null: a new one."`
	Test              string     `json:"test" required:"true" enum:">,<,=,!="`
	CheckValue        int64      `json:"check_value" required:"true"`
	WithClassName     string     `json:"with_class_name" required:"true"`
	WithAttribute     *attribute `json:"with_attribute"`
	WindowDuration    float64    `json:"window_duration" minimum:"0" description:"Seconds."`
	WindowThreshold   float64    `json:"window_threshold" minimum:"0" maximum:"1"`
	IntersectionPoint string     `json:"intersection_point" enum:"bottom,top,left,right,center"`
}

type rateConditionInput struct {
	ID                *int64     `json:"id" description:"Null: a new one."`
	Test              string     `json:"test" required:"true" enum:">=,<="`
	Duration          float64    `json:"duration" required:"true" minimum:"0" description:"Seconds."`
	Change            float64    `json:"change" required:"true"`
	Direction         string     `json:"direction" required:"true" enum:"entering,exiting,entering_or_exiting"`
	WithClassName     string     `json:"with_class_name" required:"true"`
	WithAttribute     *attribute `json:"with_attribute"`
	IntersectionPoint string     `json:"intersection_point" enum:"bottom,top,left,right,center"`
}

type capsuleInput struct {
	StorageID int64  `json:"storage_id" required:"true" minimum:"1" description:"The uploaded package."`
	Name      string `json:"name" description:"What it is to be called; empty: its own name."`
}

type identityInput struct {
	ID         *int64         `json:"id" description:"Null: a new one."`
	UniqueName string         `json:"unique_name" required:"true" minLength:"1"`
	Nickname   *string        `json:"nickname"`
	Metadata   map[string]any `json:"metadata"`
}

type imageInput struct {
	ClassName string `json:"class_name" required:"true"`
	StorageID int64  `json:"storage_id" required:"true" minimum:"1"`
}

type vectorInput struct {
	ClassName string    `json:"class_name" required:"true"`
	Vector    []float32 `json:"vector" required:"true" minItems:"1"`
}

type premisesInput struct {
	ID   *int64 `json:"id" description:"Null: a new one."`
	Name string `json:"name" required:"true"`
}

type userInput struct {
	ID       *int64  `json:"id" description:"Null: a new one."`
	Username string  `json:"username" required:"true" minLength:"1"`
	Password *string `json:"password" description:"Null: the old one stays."`
	Role     string  `json:"role" required:"true" enum:"editor,admin"`
}

type tokensInput struct {
	AccessToken  string `json:"access_token" required:"true"`
	RefreshToken string `json:"refresh_token" required:"true"`
}

// urlOrObject is a stream's URL: an object for clients that ask for a way of routing.
type urlOrObject struct{}

// JSONSchemaAnyOf says so to the document.
func (urlOrObject) JSONSchemaAnyOf() []any { return []any{"", streamURL{}} }

// encodings are encodings or, with fields=class_name, their classes.
type encodings struct{}

// JSONSchemaAnyOf says so to the document.
func (encodings) JSONSchemaAnyOf() []any { return []any{[]encoding{}, []encodingClass{}} }

// What the path and the query have.

type idPath struct {
	ID int64 `path:"id" minimum:"1"`
}

type namePath struct {
	Name string `path:"name" description:"The name of a capsule."`
}

type ownPath struct {
	ID   int64  `path:"id" minimum:"1" description:"The ID of a stream."`
	Name string `path:"name" description:"The name of a capsule."`
}

type urlQuery struct {
	idPath
	RoutingType string `query:"routing_type" description:"There at all: the answer is an object."`
}

type premisesQuery struct {
	PremisesID int64 `query:"premises_id" minimum:"1"`
}

type streamQuery struct {
	StreamID int64 `query:"stream_id" minimum:"1"`
}

type alarmQuery struct {
	streamQuery
	ZoneID int64 `query:"zone_id" minimum:"1"`
}

type pageQuery struct {
	Limit  int64 `query:"limit" minimum:"0" description:"0: none, and how many there are by the header Total-Count."`
	Offset int64 `query:"offset" minimum:"0"`
}

type alertQuery struct {
	pageQuery
	alarmQuery
	AlarmID      int64    `query:"alarm_id" minimum:"1"`
	Verification []string `query:"verification" items.enum:"unverified,true,false"`
}

type identityQuery struct {
	pageQuery
	UniqueName      string `query:"unique_name"`
	EncodedForClass string `query:"encoded_for_class"`
	Search          string `query:"search"`
	SortBy          string `query:"sort_by" description:"id, unique_name or nickname, with :asc or :desc."`
}

type encodingQuery struct {
	IdentityID int64  `query:"identity_id" minimum:"1"`
	ClassName  string `query:"class_name"`
	Fields     string `query:"fields" enum:"class_name"`
}

type encodingChoice struct {
	IdentityID int64  `query:"identity_id" minimum:"1"`
	ClassName  string `query:"class_name"`
}

// told is what the document says of a route. errors are titles of the contract.
type told struct {
	id, tag, summary     string
	params, body, answer reflect.Type
	bodyTypes, types     []string // of bytes
	errors               string
}

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

var bytesOf = []string{"*/*"}

// described has every route by method and path.
func described() map[string]told {
	all := map[string]told{}
	for _, m := range []map[string]told{describedStreams(), describedZones(), describedCapsules(), describedIdentities(), describedAdministration()} {
		for route, d := range m {
			all[route] = d
		}
	}
	return all
}

func describedStreams() map[string]told {
	const gone = "StreamConfigNotFoundError"
	return map[string]told{
		"GET /version":                     {id: "version", tag: "server", summary: "The version that clients compare with their own", answer: of[string]()},
		"GET /streams":                     {id: "getStreams", tag: "streams", summary: "List streams", params: of[premisesQuery](), answer: of[[]streamConfiguration](), errors: "PremisesNotFoundError"},
		"POST /streams":                    {id: "setStream", tag: "streams", summary: "Add or change a stream", body: of[streamConfigurationInput](), answer: of[streamConfiguration](), errors: gone + " DuplicateStreamSourceError InvalidRuntimeOptionError PremisesNotFoundError StorageNotFoundError NotImplementedError"},
		"GET /streams/:id":                 {id: "getStream", tag: "streams", summary: "Get a stream", params: of[idPath](), answer: of[streamConfiguration](), errors: gone},
		"DELETE /streams/:id":              {id: "deleteStream", tag: "streams", summary: "Delete a stream", params: of[idPath](), errors: gone},
		"GET /streams/:id/url":             {id: "getStreamURL", tag: "streams", summary: "Where a player finds a stream's video", params: of[urlQuery](), answer: of[urlOrObject](), errors: gone + " NotImplementedError"},
		"GET /streams/:id/runtime_options": {id: "getRuntimeOptions", tag: "streams", summary: "Get the runtime options of a stream", params: of[idPath](), answer: of[runtimeOptions](), errors: gone},
		"PUT /streams/:id/runtime_options": {id: "setRuntimeOptions", tag: "streams", summary: "Set the runtime options of a stream", params: of[idPath](), body: of[runtimeOptions](), errors: gone + " InvalidRuntimeOptionError"},
		"GET /streams/:id/analyze":         {id: "isAnalyzing", tag: "streams", summary: "Whether a stream is analysed", params: of[idPath](), answer: of[bool](), errors: gone},
		"PUT /streams/:id/analyze":         {id: "analyze", tag: "streams", summary: "Start or stop the analysis of a stream", params: of[idPath](), body: of[bool](), answer: of[bool](), errors: gone + " AnalysisLimitExceededError"},
		"GET /streams/status":              {id: "getStatus", tag: "statuses", summary: "The statuses of all zones, by stream and zone name", answer: of[map[string]map[string]zoneStatus]()},
		"GET /streams/statuses":            {id: "followStatuses", tag: "statuses", summary: "Statuses as they come, without an end: JSON, each followed by CR LF; CR LF alone is a sign of life", answer: of[map[string]map[string]zoneStatus]()},
		"POST /storage":                    {id: "newStorage", tag: "storage", summary: "Upload a file: the body as it is", bodyTypes: bytesOf, answer: of[int64]()},
		"GET /storage/:id":                 {id: "getStorage", tag: "storage", summary: "Download a file", params: of[idPath](), types: bytesOf, errors: "StorageNotFoundError"},
		"DELETE /storage/:id":              {id: "deleteStorage", tag: "storage", summary: "Delete a file", params: of[idPath](), errors: "StorageNotFoundError"},
	}
}

func describedZones() map[string]told {
	const zoneGone, alarmGone, alertGone = "ZoneNotFoundError", "ZoneAlarmNotFoundError", "AlertNotFoundError"
	return map[string]told{
		"GET /zones":              {id: "getZones", tag: "zones", summary: "List zones with their alarms", params: of[streamQuery](), answer: of[[]zone](), errors: "StreamConfigNotFoundError"},
		"POST /zones":             {id: "setZone", tag: "zones", summary: "Add or change a zone", body: of[zoneInput](), answer: of[zone](), errors: zoneGone + " ZoneNotEditableError DuplicateZoneNameError StreamConfigNotFoundError ZoneAlarmNotFoundError"},
		"GET /zones/:id":          {id: "getZone", tag: "zones", summary: "Get a zone with its alarms", params: of[idPath](), answer: of[zone](), errors: zoneGone},
		"DELETE /zones/:id":       {id: "deleteZone", tag: "zones", summary: "Delete a zone", params: of[idPath](), errors: zoneGone + " ZoneNotDeletableError"},
		"OPTIONS /zones/:id":      {id: "getZoneMethods", tag: "zones", summary: "Whether a zone may be changed, by the header Allow", params: of[idPath](), errors: zoneGone},
		"GET /zone_alarms":        {id: "getZoneAlarms", tag: "zones", summary: "List alarms", params: of[alarmQuery](), answer: of[[]zoneAlarm](), errors: "StreamConfigNotFoundError " + zoneGone},
		"POST /zone_alarms":       {id: "setZoneAlarm", tag: "zones", summary: "Add or change an alarm", body: of[zoneAlarmInput](), answer: of[zoneAlarm](), errors: alarmGone + " " + zoneGone},
		"GET /zone_alarms/:id":    {id: "getZoneAlarm", tag: "zones", summary: "Get an alarm", params: of[idPath](), answer: of[zoneAlarm](), errors: alarmGone},
		"DELETE /zone_alarms/:id": {id: "deleteZoneAlarm", tag: "zones", summary: "Delete an alarm", params: of[idPath](), errors: alarmGone},
		"GET /alerts":             {id: "getAlerts", tag: "alerts", summary: "List alerts, the newest first; the header Total-Count says how many there are", params: of[alertQuery](), answer: of[[]alert](), errors: "StreamConfigNotFoundError " + zoneGone + " " + alarmGone},
		"GET /alerts/:id":         {id: "getAlert", tag: "alerts", summary: "Get an alert", params: of[idPath](), answer: of[alert](), errors: alertGone},
		"PUT /alerts/:id":         {id: "setAlertVerification", tag: "alerts", summary: "Say what an alert was found to be", params: of[idPath](), body: of[*bool](), errors: alertGone},
		"GET /alerts/:id/frame":   {id: "getAlertFrame", tag: "alerts", summary: "The picture of an alert's begin", params: of[idPath](), types: []string{"image/jpeg"}, errors: alertGone + " FrameNotFoundForAlertError"},
	}
}

func describedCapsules() map[string]told {
	const gone, wrong = "PluginNotFoundError", " InvalidPluginOptionError"
	values := of[map[string]any]()
	all := map[string]told{
		"GET /plugins":          {id: "getPlugins", tag: "plugins", summary: "List capsules", answer: of[[]capsule]()},
		"PUT /plugins":          {id: "loadPlugin", tag: "plugins", summary: "Load an uploaded capsule", body: of[capsuleInput](), answer: of[capsule](), errors: "StorageNotFoundError InvalidCapsuleError IncompatibleCapsuleError NotImplementedError"},
		"GET /plugins/:name":    {id: "getPlugin", tag: "plugins", summary: "Get a capsule", params: of[namePath](), answer: of[capsule](), errors: gone},
		"DELETE /plugins/:name": {id: "unloadPlugin", tag: "plugins", summary: "Unload a capsule", params: of[namePath](), errors: gone + " NotImplementedError"},
		"POST /process_image": {id: "processImage", tag: "plugins", summary: "Run capsules on a picture: a form with the files image and metadata (JSON: plugins, options)",
			bodyTypes: []string{"multipart/form-data"}, answer: of[[]detection](), errors: gone + wrong + " InvalidImageTypeError"},
	}
	for path, p := range map[string]told{
		"/plugins/:name":             {id: "Plugin", params: of[namePath](), summary: "for all streams", errors: gone},
		"/streams/:id/plugins/:name": {id: "StreamPlugin", params: of[ownPath](), summary: "for one stream", errors: gone + " StreamConfigNotFoundError"},
	} {
		active := of[bool]()
		if p.id == "StreamPlugin" {
			active = of[*bool]()
		}
		all["GET "+path+"/options"] = told{id: "get" + p.id + "Options", tag: "plugins", summary: "Get the options of a capsule " + p.summary, params: p.params, answer: values, errors: p.errors}
		all["PUT "+path+"/options"] = told{id: "set" + p.id + "Options", tag: "plugins", summary: "Set the options of a capsule " + p.summary, params: p.params, body: values, errors: p.errors + wrong}
		all["PATCH "+path+"/options"] = told{id: "patch" + p.id + "Options", tag: "plugins", summary: "Change options of a capsule " + p.summary + "; null takes one back", params: p.params, body: values, errors: p.errors + wrong}
		all["GET "+path+"/active"] = told{id: "is" + p.id + "Active", tag: "plugins", summary: "Whether a capsule has a part " + p.summary, params: p.params, answer: active, errors: p.errors}
		all["PUT "+path+"/active"] = told{id: "set" + p.id + "Active", tag: "plugins", summary: "Say whether a capsule has a part " + p.summary, params: p.params, body: of[*bool](), errors: p.errors}
	}
	return all
}

func describedIdentities() map[string]told {
	const gone, vectorGone = "IdentityNotFoundError", "EncodingNotFoundError"
	return map[string]told{
		"GET /identities":              {id: "getIdentities", tag: "identities", summary: "List or search identities; the header Total-Count says how many there are", params: of[identityQuery](), answer: of[[]identity]()},
		"POST /identities":             {id: "setIdentity", tag: "identities", summary: "Add or change an identity", body: of[identityInput](), answer: of[identity](), errors: gone + " DuplicateIdentityNameError"},
		"GET /identities/:id":          {id: "getIdentity", tag: "identities", summary: "Get an identity", params: of[idPath](), answer: of[identity](), errors: gone},
		"DELETE /identities/:id":       {id: "deleteIdentity", tag: "identities", summary: "Delete an identity", params: of[idPath](), errors: gone},
		"POST /identities/:id/images":  {id: "newIdentityImage", tag: "identities", summary: "Enrol an identity by a picture", params: of[idPath](), body: of[imageInput](), answer: of[encoding](), errors: gone + " StorageNotFoundError NoDetectorForClassError NoEncoderForClassError NoDetectionsInImageError TooManyDetectionsInImageError ImageAlreadyEncodedError InvalidImageTypeError"},
		"POST /identities/:id/vectors": {id: "newIdentityVector", tag: "identities", summary: "Enrol an identity by a vector", params: of[idPath](), body: of[vectorInput](), answer: of[encoding](), errors: gone + " NoEncoderForClassError VectorTooLongError DuplicateVectorError"},
		"GET /encodings":               {id: "getEncodings", tag: "identities", summary: "List encodings or their classes", params: of[encodingQuery](), answer: of[encodings]()},
		"DELETE /encodings":            {id: "deleteEncodings", tag: "identities", summary: "Delete the encodings that the query chooses; without one, all", params: of[encodingChoice]()},
		"GET /encodings/:id":           {id: "getEncoding", tag: "identities", summary: "Get an encoding", params: of[idPath](), answer: of[encoding](), errors: vectorGone},
		"DELETE /encodings/:id":        {id: "deleteEncoding", tag: "identities", summary: "Delete an encoding", params: of[idPath](), errors: vectorGone},
	}
}

func describedAdministration() map[string]told {
	const placeGone, userGone, notAdmin = "PremisesNotFoundError", "UserNotFoundError", "InsufficientRoleError"
	return map[string]told{
		"GET /premises":        {id: "getAllPremises", tag: "premises", summary: "List premises", answer: of[[]premises]()},
		"POST /premises":       {id: "setPremises", tag: "premises", summary: "Add or change premises", body: of[premisesInput](), answer: of[premises](), errors: placeGone},
		"GET /premises/:id":    {id: "getPremises", tag: "premises", summary: "Get premises", params: of[idPath](), answer: of[premises](), errors: placeGone},
		"DELETE /premises/:id": {id: "deletePremises", tag: "premises", summary: "Delete premises with their streams", params: of[idPath](), errors: placeGone},
		"GET /users":           {id: "getUsers", tag: "users", summary: "List users", answer: of[[]user](), errors: notAdmin},
		"POST /users":          {id: "setUser", tag: "users", summary: "Add or change a user", body: of[userInput](), answer: of[user](), errors: userGone + " DuplicateUsernameError AdminMustExistError " + notAdmin},
		"GET /users/:id":       {id: "getUser", tag: "users", summary: "Get a user", params: of[idPath](), answer: of[user](), errors: userGone + " " + notAdmin},
		"DELETE /users/:id":    {id: "deleteUser", tag: "users", summary: "Delete a user", params: of[idPath](), errors: userGone + " AdminMustExistError " + notAdmin},
		"GET /license":         {id: "getLicenseInfo", tag: "license", summary: "The licence, which is always valid", answer: of[licenseInfo]()},
		"PUT /license":         {id: "setLicenseKey", tag: "license", summary: "Check a licence key, which is not needed", bodyTypes: bytesOf, answer: of[licenseInfo](), errors: "LicenseInvalidError " + notAdmin},
		"PUT /cloud_tokens":    {id: "setCloudTokens", tag: "license", summary: "Refused: there is no cloud", body: of[tokensInput](), errors: "UnauthorizedTokensError " + notAdmin},
		"GET /cloud_user":      {id: "getCloudUser", tag: "license", summary: "Not found: there is no cloud", errors: "CloudUserNotFoundError"},
		"GET /oauth2_info":     {id: "getOAuth2Info", tag: "license", summary: "Empty: there is no cloud", answer: of[oauth2Info]()},
	}
}

// document is made once, when it is first asked for.
var document struct {
	sync.Once
	text []byte
	err  error
}

// Document gives the OpenAPI document of the dialect, as JSON. Nobody changes it.
func Document() ([]byte, error) {
	document.Do(func() {
		doc, err := openapi.Build(info(), operations())
		if err == nil {
			document.text, err = doc.JSON()
		}
		if document.err = err; err != nil {
			document.err = core.Faultf(core.Internal, "openapi", "", "%w", err)
		}
	})
	return document.text, document.err
}

func info() openapi.Info {
	return openapi.Info{
		Title: "Capstan for BrainFrame clients", Version: Version, Base: "/api",
		Description: "The HTTP API that BrainFrame clients use. A session's cookie comes with the first answer to HTTP Basic.\n\n" +
			"Answers from 400 on have the title that clients know the kind of error by.",
		Tags: []openapi.Tag{
			{Name: "streams", Description: "Cameras, webcams and files."}, {Name: "statuses", Description: "What is seen."},
			{Name: "zones", Description: "Zones and their alarms."}, {Name: "alerts", Description: "Times that an alarm was on."},
			{Name: "plugins", Description: "Capsules."}, {Name: "identities", Description: "Who is known by name."}, {Name: "storage", Description: "Files."},
			{Name: "premises", Description: "Places with streams."}, {Name: "users", Description: "Who may do what."},
			{Name: "license", Description: "Licence and cloud, of which there is none."}, {Name: "server", Description: "The server."},
		},
		Security: map[string]any{
			"basic":   map[string]any{"type": "http", "scheme": "basic"},
			"bearer":  map[string]any{"type": "http", "scheme": "bearer", "description": "An API token: cap_…"},
			"session": map[string]any{"type": "apiKey", "in": "cookie", "name": sessionCookie},
		},
		Failure: of[failure](), FailureType: "application/json",
	}
}

func operations() []openapi.Operation {
	var ops []openapi.Operation
	for route, d := range described() {
		method, path, _ := strings.Cut(route, " ")
		op := openapi.Operation{
			Method: method, Path: strings.NewReplacer(":id", "{id}", ":name", "{name}").Replace(path), ID: d.id, Tag: d.tag, Summary: d.summary,
			Params: d.params, Body: d.body, BodyTypes: d.bodyTypes, Status: http.StatusOK, Answer: d.answer, AnswerTypes: d.types,
		}
		titles := strings.Fields(d.errors)
		if len(titles) > 0 {
			op.Description = fmt.Sprintf("May fail with the titles: %s.", strings.Join(titles, ", "))
		}
		titles = append(titles, "UnauthorizedError", "InsufficientRoleError", "InvalidFormatError")
		for _, title := range titles {
			if s := statuses[title]; s != 0 && !slices.Contains(op.Errors, s) {
				op.Errors = append(op.Errors, s)
			}
		}
		op.Errors = append(op.Errors, http.StatusBadGateway)
		if d.body != nil || d.bodyTypes != nil {
			op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge)
		}
		slices.Sort(op.Errors)
		ops = append(ops, op)
	}
	slices.SortFunc(ops, func(a, b openapi.Operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return ops
}
