package brainframe

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

// statuses has the kinds of error that the client knows, by their titles on the wire, and the HTTP
// status of each: section 3 of the contract.
var statuses = map[string]int{
	"UnknownError":                  500,
	"InvalidSyntaxError":            400,
	"InvalidFormatError":            400,
	"NotImplementedError":           501,
	"UnauthorizedError":             401,
	"InvalidSessionError":           401,
	"InsufficientRoleError":         403,
	"StreamConfigNotFoundError":     404,
	"StreamNotOpenedError":          500,
	"DuplicateStreamSourceError":    409,
	"AnalysisLimitExceededError":    503,
	"InvalidRuntimeOptionError":     400,
	"ZoneNotFoundError":             404,
	"ZoneNotDeletableError":         400,
	"ZoneNotEditableError":          400,
	"DuplicateZoneNameError":        409,
	"ZoneAlarmNotFoundError":        404,
	"AlertNotFoundError":            404,
	"FrameNotFoundForAlertError":    404,
	"StorageNotFoundError":          404,
	"IdentityNotFoundError":         404,
	"DuplicateIdentityNameError":    409,
	"EncodingNotFoundError":         404,
	"ImageNotFoundForIdentityError": 404,
	"InvalidImageTypeError":         400,
	"NoDetectorForClassError":       400,
	"NoEncoderForClassError":        400,
	"NoDetectionsInImageError":      400,
	"TooManyDetectionsInImageError": 400,
	"ImageAlreadyEncodedError":      400,
	"DuplicateVectorError":          400,
	"VectorTooLongError":            400,
	"PluginNotFoundError":           404,
	"InvalidPluginOptionError":      400,
	"InvalidCapsuleError":           400,
	"IncompatibleCapsuleError":      400,
	"PremisesNotFoundError":         404,
	"UserNotFoundError":             404,
	"DuplicateUsernameError":        409,
	"AdminMustExistError":           400,
	"LicenseRequiredError":          403,
	"LicenseExpiredError":           400,
	"LicenseInvalidError":           400,
	"RemoteConnectionError":         500,
	"UnauthorizedTokensError":       401,
	"CloudUserNotFoundError":        404,
}

// what is a kind of fault on a noun; the noun may be empty.
type what struct {
	kind core.Kind
	on   string
}

// titles maps what the service finds wrong to the client's kinds. A noun that is not here goes by
// the kind alone.
var titles = map[what]string{
	{core.Invalid, ""}:               "InvalidFormatError",
	{core.Invalid, "runtime option"}: "InvalidRuntimeOptionError",
	{core.Invalid, "image"}:          "InvalidImageTypeError",
	{core.Invalid, "option"}:         "InvalidPluginOptionError",
	{core.Invalid, "capsule"}:        "InvalidCapsuleError",
	{core.Invalid, "detection"}:      "TooManyDetectionsInImageError",
	{core.Invalid, "license"}:        "LicenseInvalidError",

	{core.NotFound, "stream"}:    "StreamConfigNotFoundError",
	{core.NotFound, "zone"}:      "ZoneNotFoundError",
	{core.NotFound, "alarm"}:     "ZoneAlarmNotFoundError",
	{core.NotFound, "alert"}:     "AlertNotFoundError",
	{core.NotFound, "frame"}:     "FrameNotFoundForAlertError",
	{core.NotFound, "blob"}:      "StorageNotFoundError",
	{core.NotFound, "identity"}:  "IdentityNotFoundError",
	{core.NotFound, "encoding"}:  "EncodingNotFoundError",
	{core.NotFound, "image"}:     "ImageNotFoundForIdentityError",
	{core.NotFound, "detector"}:  "NoDetectorForClassError",
	{core.NotFound, "encoder"}:   "NoEncoderForClassError",
	{core.NotFound, "detection"}: "NoDetectionsInImageError",
	{core.NotFound, "capsule"}:   "PluginNotFoundError",
	{core.NotFound, "option"}:    "InvalidPluginOptionError",
	{core.NotFound, "premises"}:  "PremisesNotFoundError",
	{core.NotFound, "user"}:      "UserNotFoundError",
	{core.NotFound, "license"}:   "LicenseRequiredError",

	{core.Exists, "stream"}:   "DuplicateStreamSourceError",
	{core.Exists, "zone"}:     "DuplicateZoneNameError",
	{core.Exists, "identity"}: "DuplicateIdentityNameError",
	{core.Exists, "image"}:    "ImageAlreadyEncodedError",
	{core.Exists, "encoding"}: "DuplicateVectorError",
	{core.Exists, "user"}:     "DuplicateUsernameError",

	{core.Denied, ""}:            "InsufficientRoleError",
	{core.Denied, "credentials"}: "UnauthorizedError",
	{core.Denied, "session"}:     "InvalidSessionError",
	{core.Denied, "zone"}:        "ZoneNotEditableError", // DELETE: ZoneNotDeletableError
	{core.Denied, "admin"}:       "AdminMustExistError",

	{core.SourceOpen, ""}:    "StreamNotOpenedError",
	{core.SourceBroken, ""}:  "StreamNotOpenedError",
	{core.SourceFormat, ""}:  "StreamNotOpenedError",
	{core.SourceStalled, ""}: "StreamNotOpenedError",

	{core.CapsuleStart, ""}:    "InvalidCapsuleError",
	{core.CapsuleVersion, ""}:  "IncompatibleCapsuleError",
	{core.CapsuleGarbage, ""}:  "InvalidCapsuleError",
	{core.CapsuleContract, ""}: "InvalidCapsuleError",

	{core.Unsupported, ""}:     "NotImplementedError",
	{core.Exhausted, "stream"}: "AnalysisLimitExceededError",
	{core.Exhausted, "vector"}: "VectorTooLongError",
}

// full are the nouns of faults of kind Exhausted that say that the server's disk is full.
var full = map[string]bool{"blob": true, "disk": true}

// unknown are the HTTP statuses of what has no kind of its own.
var unknown = map[core.Kind]int{
	core.NotFound:  http.StatusNotFound,
	core.Exists:    http.StatusConflict,
	core.Cancelled: 499, // nobody reads it
	core.Closed:    http.StatusBadGateway,
}

// apiError is a kind of error that the dialect finds by itself.
type apiError struct {
	title       string
	status      int // 0: that of the title
	description string
}

func (e *apiError) Error() string { return e.title + ": " + e.description }

func refuse(title, description string) error {
	return &apiError{title: title, description: description}
}

// notReady makes the client wait and ask again: it goes by the status, whatever the title.
func notReady(description string) error {
	return &apiError{"ServerNotReadyError", http.StatusBadGateway, description}
}

// noun gives the noun of a fault: On without the number or name that may follow.
func noun(f *core.Fault) string {
	if _, ok := titles[what{f.Kind, f.On}]; ok {
		return f.On
	}
	word, _, _ := strings.Cut(f.On, " ")
	return word
}

// isOn says whether err is a fault of this kind on this noun.
func isOn(err error, kind core.Kind, on string) bool {
	var f *core.Fault
	return errors.As(err, &f) && f.Kind == kind && noun(f) == on
}

// reply makes the answer to an error.
func reply(err error) httpx.Reply {
	e := classify(err)
	if e.status == 0 {
		e.status = statuses[e.title]
	}
	return httpx.Reply{Status: e.status, Body: failure{e.title, e.description}}
}

func classify(err error) apiError {
	var (
		own    *apiError
		syntax *httpx.SyntaxError
		format *httpx.FormatError
		large  *httpx.TooLargeError
		f      *core.Fault
	)
	switch {
	case errors.As(err, &own):
		return *own
	case errors.As(err, &syntax):
		return apiError{"InvalidSyntaxError", 0, err.Error()}
	case errors.As(err, &format):
		return apiError{"InvalidFormatError", 0, err.Error()}
	case errors.As(err, &large):
		return apiError{"InvalidFormatError", http.StatusRequestEntityTooLarge, err.Error()}
	case errors.As(err, &f):
		return classifyFault(f, err.Error())
	case errors.Is(err, context.Canceled):
		return apiError{"UnknownError", unknown[core.Cancelled], "the request was given up"}
	default:
		return hidden
	}
}

// hidden is told of faults of ours; the log has the rest.
var hidden = apiError{"UnknownError", 0, "an internal error: the server's log tells more"}

func classifyFault(f *core.Fault, text string) apiError {
	for _, on := range []string{noun(f), ""} {
		if title, ok := titles[what{f.Kind, on}]; ok {
			return apiError{title, 0, text}
		}
	}
	if f.Kind == core.Exhausted && full[noun(f)] {
		return apiError{"UnknownError", http.StatusInsufficientStorage, text}
	}
	if status, ok := unknown[f.Kind]; ok {
		return apiError{"UnknownError", status, text}
	}
	if f.Kind == core.Internal || f.Kind == core.Unknown {
		return hidden
	}
	return apiError{"UnknownError", 0, text}
}
