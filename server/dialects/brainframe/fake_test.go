package brainframe

import (
	"context"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// fake is a service made of funcs. One that a test does not set fails as a method that is not there.
type fake struct {
	ready          func() bool
	authenticate   func(context.Context, string, string) (service.Caller, string, error)
	resume         func(context.Context, string) (service.Caller, error)
	anonymous      func() (service.Caller, error)
	streams        func(context.Context, service.Caller, core.PremisesID) ([]core.StreamConfig, error)
	stream         func(context.Context, service.Caller, core.StreamNumber) (core.StreamConfig, error)
	saveStream     func(context.Context, service.Caller, core.StreamConfig) (core.StreamConfig, error)
	deleteStream   func(context.Context, service.Caller, core.StreamNumber) error
	streamURL      func(context.Context, service.Caller, core.StreamNumber) (string, error)
	analyze        func(context.Context, service.Caller, core.StreamNumber, bool) error
	states         func(context.Context, service.Caller) ([]service.StreamState, error)
	premises       func(context.Context, service.Caller) ([]core.Premises, error)
	onePremises    func(context.Context, service.Caller, core.PremisesID) (core.Premises, error)
	savePremises   func(context.Context, service.Caller, core.Premises) (core.Premises, error)
	deletePremises func(context.Context, service.Caller, core.PremisesID) error
	zones          func(context.Context, service.Caller, core.StreamNumber) ([]core.Zone, error)
	zone           func(context.Context, service.Caller, core.ZoneID) (core.Zone, error)
	saveZone       func(context.Context, service.Caller, core.Zone, []core.Alarm) (core.Zone, []core.Alarm, error)
	deleteZone     func(context.Context, service.Caller, core.ZoneID) error
	alarms         func(context.Context, service.Caller, core.StreamNumber, core.ZoneID) ([]core.Alarm, error)
	alarm          func(context.Context, service.Caller, core.AlarmID) (core.Alarm, error)
	saveAlarm      func(context.Context, service.Caller, core.Alarm) (core.Alarm, error)
	deleteAlarm    func(context.Context, service.Caller, core.AlarmID) error
	alerts         func(context.Context, service.Caller, store.AlertFilter) ([]core.Alert, int, error)
	alert          func(context.Context, service.Caller, core.AlertID) (core.Alert, error)
	verifyAlert    func(context.Context, service.Caller, core.AlertID, *bool) error
	alertFrame     func(context.Context, service.Caller, core.AlertID) (io.ReadCloser, error)
	statuses       func(context.Context, service.Caller) (*service.Snapshot, error)
	subscribe      func(context.Context, service.Caller) (<-chan *service.Snapshot, error)
	capsules       func(context.Context, service.Caller) ([]service.CapsuleInfo, error)
	capsule        func(context.Context, service.Caller, string) (service.CapsuleInfo, error)
	loadCapsule    func(context.Context, service.Caller, core.BlobID, string) (service.CapsuleInfo, error)
	unloadCapsule  func(context.Context, service.Caller, string) error
	setting        func(context.Context, service.Caller, string, core.StreamNumber) (core.CapsuleSetting, error)
	setOptions     func(context.Context, service.Caller, string, core.StreamNumber, map[string]any, bool) error
	setActive      func(context.Context, service.Caller, string, core.StreamNumber, *bool) error
	processImage   func(context.Context, service.Caller, []byte, []string, map[string]map[string]any) ([]*core.Node, error)
	identities     func(context.Context, service.Caller, store.IdentityFilter) ([]core.Identity, int, error)
	identity       func(context.Context, service.Caller, int64) (core.Identity, error)
	saveIdentity   func(context.Context, service.Caller, core.Identity) (core.Identity, error)
	deleteIdentity func(context.Context, service.Caller, int64) error
	addImage       func(context.Context, service.Caller, int64, string, core.BlobID) (core.Vector, error)
	addVector      func(context.Context, service.Caller, int64, string, []float64) (core.Vector, error)
	vectors        func(context.Context, service.Caller, store.VectorFilter) ([]core.Vector, error)
	vector         func(context.Context, service.Caller, core.VectorID) (core.Vector, error)
	deleteVectors  func(context.Context, service.Caller, store.VectorFilter) error
	deleteVector   func(context.Context, service.Caller, core.VectorID) error
	saveBlob       func(context.Context, service.Caller, string, io.Reader) (core.Blob, error)
	blob           func(context.Context, service.Caller, core.BlobID) (core.Blob, io.ReadSeekCloser, error)
	deleteBlob     func(context.Context, service.Caller, core.BlobID) error
	users          func(context.Context, service.Caller) ([]core.User, error)
	user           func(context.Context, service.Caller, core.UserID) (core.User, error)
	saveUser       func(context.Context, service.Caller, core.User, string) (core.User, error)
	deleteUser     func(context.Context, service.Caller, core.UserID) error
}

var _ service.API = (*fake)(nil)

// unset panics with the name of a func that a test has not set.
func unset(name string) { panic("the test sets no " + name) }

func (k *fake) Ready() bool {
	if k.ready == nil {
		unset("ready")
	}
	return k.ready()
}

func (k *fake) Authenticate(ctx context.Context, name string, password string) (service.Caller, string, error) {
	if k.authenticate == nil {
		unset("authenticate")
	}
	return k.authenticate(ctx, name, password)
}

func (k *fake) Resume(ctx context.Context, token string) (service.Caller, error) {
	if k.resume == nil {
		unset("resume")
	}
	return k.resume(ctx, token)
}

func (k *fake) Anonymous() (service.Caller, error) {
	if k.anonymous == nil {
		unset("anonymous")
	}
	return k.anonymous()
}

func (k *fake) Streams(ctx context.Context, c service.Caller, premises core.PremisesID) ([]core.StreamConfig, error) {
	if k.streams == nil {
		unset("streams")
	}
	return k.streams(ctx, c, premises)
}

func (k *fake) Stream(ctx context.Context, c service.Caller, n core.StreamNumber) (core.StreamConfig, error) {
	if k.stream == nil {
		unset("stream")
	}
	return k.stream(ctx, c, n)
}

func (k *fake) SaveStream(ctx context.Context, c service.Caller, s core.StreamConfig) (core.StreamConfig, error) {
	if k.saveStream == nil {
		unset("saveStream")
	}
	return k.saveStream(ctx, c, s)
}

func (k *fake) DeleteStream(ctx context.Context, c service.Caller, n core.StreamNumber) error {
	if k.deleteStream == nil {
		unset("deleteStream")
	}
	return k.deleteStream(ctx, c, n)
}

func (k *fake) StreamURL(ctx context.Context, c service.Caller, n core.StreamNumber, host string) (string, error) {
	if k.streamURL == nil {
		unset("streamURL")
	}
	return k.streamURL(ctx, c, n)
}

func (k *fake) Analyze(ctx context.Context, c service.Caller, n core.StreamNumber, on bool) error {
	if k.analyze == nil {
		unset("analyze")
	}
	return k.analyze(ctx, c, n, on)
}

func (k *fake) States(ctx context.Context, c service.Caller) ([]service.StreamState, error) {
	if k.states == nil {
		unset("states")
	}
	return k.states(ctx, c)
}

func (k *fake) Premises(ctx context.Context, c service.Caller) ([]core.Premises, error) {
	if k.premises == nil {
		unset("premises")
	}
	return k.premises(ctx, c)
}

func (k *fake) OnePremises(ctx context.Context, c service.Caller, id core.PremisesID) (core.Premises, error) {
	if k.onePremises == nil {
		unset("onePremises")
	}
	return k.onePremises(ctx, c, id)
}

func (k *fake) SavePremises(ctx context.Context, c service.Caller, p core.Premises) (core.Premises, error) {
	if k.savePremises == nil {
		unset("savePremises")
	}
	return k.savePremises(ctx, c, p)
}

func (k *fake) DeletePremises(ctx context.Context, c service.Caller, id core.PremisesID) error {
	if k.deletePremises == nil {
		unset("deletePremises")
	}
	return k.deletePremises(ctx, c, id)
}

func (k *fake) Zones(ctx context.Context, c service.Caller, n core.StreamNumber) ([]core.Zone, error) {
	if k.zones == nil {
		unset("zones")
	}
	return k.zones(ctx, c, n)
}

func (k *fake) Zone(ctx context.Context, c service.Caller, id core.ZoneID) (core.Zone, error) {
	if k.zone == nil {
		unset("zone")
	}
	return k.zone(ctx, c, id)
}

func (k *fake) SaveZone(ctx context.Context, c service.Caller, z core.Zone, alarms []core.Alarm) (core.Zone, []core.Alarm, error) {
	if k.saveZone == nil {
		unset("saveZone")
	}
	return k.saveZone(ctx, c, z, alarms)
}

func (k *fake) DeleteZone(ctx context.Context, c service.Caller, id core.ZoneID) error {
	if k.deleteZone == nil {
		unset("deleteZone")
	}
	return k.deleteZone(ctx, c, id)
}

func (k *fake) Alarms(ctx context.Context, c service.Caller, n core.StreamNumber, zone core.ZoneID) ([]core.Alarm, error) {
	if k.alarms == nil {
		unset("alarms")
	}
	return k.alarms(ctx, c, n, zone)
}

func (k *fake) Alarm(ctx context.Context, c service.Caller, id core.AlarmID) (core.Alarm, error) {
	if k.alarm == nil {
		unset("alarm")
	}
	return k.alarm(ctx, c, id)
}

func (k *fake) SaveAlarm(ctx context.Context, c service.Caller, a core.Alarm) (core.Alarm, error) {
	if k.saveAlarm == nil {
		unset("saveAlarm")
	}
	return k.saveAlarm(ctx, c, a)
}

func (k *fake) DeleteAlarm(ctx context.Context, c service.Caller, id core.AlarmID) error {
	if k.deleteAlarm == nil {
		unset("deleteAlarm")
	}
	return k.deleteAlarm(ctx, c, id)
}

func (k *fake) Alerts(ctx context.Context, c service.Caller, f store.AlertFilter) ([]core.Alert, int, error) {
	if k.alerts == nil {
		unset("alerts")
	}
	return k.alerts(ctx, c, f)
}

func (k *fake) Alert(ctx context.Context, c service.Caller, id core.AlertID) (core.Alert, error) {
	if k.alert == nil {
		unset("alert")
	}
	return k.alert(ctx, c, id)
}

func (k *fake) VerifyAlert(ctx context.Context, c service.Caller, id core.AlertID, as *bool) error {
	if k.verifyAlert == nil {
		unset("verifyAlert")
	}
	return k.verifyAlert(ctx, c, id, as)
}

func (k *fake) AlertFrame(ctx context.Context, c service.Caller, id core.AlertID) (io.ReadCloser, error) {
	if k.alertFrame == nil {
		unset("alertFrame")
	}
	return k.alertFrame(ctx, c, id)
}

func (k *fake) Statuses(ctx context.Context, c service.Caller) (*service.Snapshot, error) {
	if k.statuses == nil {
		unset("statuses")
	}
	return k.statuses(ctx, c)
}

func (k *fake) Subscribe(ctx context.Context, c service.Caller) (<-chan *service.Snapshot, error) {
	if k.subscribe == nil {
		unset("subscribe")
	}
	return k.subscribe(ctx, c)
}

func (k *fake) Capsules(ctx context.Context, c service.Caller) ([]service.CapsuleInfo, error) {
	if k.capsules == nil {
		unset("capsules")
	}
	return k.capsules(ctx, c)
}

func (k *fake) Capsule(ctx context.Context, c service.Caller, name string) (service.CapsuleInfo, error) {
	if k.capsule == nil {
		unset("capsule")
	}
	return k.capsule(ctx, c, name)
}

func (k *fake) LoadCapsule(ctx context.Context, c service.Caller, blob core.BlobID, name string) (service.CapsuleInfo, error) {
	if k.loadCapsule == nil {
		unset("loadCapsule")
	}
	return k.loadCapsule(ctx, c, blob, name)
}

func (k *fake) UnloadCapsule(ctx context.Context, c service.Caller, name string) error {
	if k.unloadCapsule == nil {
		unset("unloadCapsule")
	}
	return k.unloadCapsule(ctx, c, name)
}

func (k *fake) Setting(ctx context.Context, c service.Caller, capsule string, n core.StreamNumber) (core.CapsuleSetting, error) {
	if k.setting == nil {
		unset("setting")
	}
	return k.setting(ctx, c, capsule, n)
}

func (k *fake) SetOptions(ctx context.Context, c service.Caller, capsule string, n core.StreamNumber, options map[string]any, merge bool) error {
	if k.setOptions == nil {
		unset("setOptions")
	}
	return k.setOptions(ctx, c, capsule, n, options, merge)
}

func (k *fake) SetActive(ctx context.Context, c service.Caller, capsule string, n core.StreamNumber, active *bool) error {
	if k.setActive == nil {
		unset("setActive")
	}
	return k.setActive(ctx, c, capsule, n, active)
}

func (k *fake) ProcessImage(ctx context.Context, c service.Caller, picture []byte, capsules []string, options map[string]map[string]any) ([]*core.Node, error) {
	if k.processImage == nil {
		unset("processImage")
	}
	return k.processImage(ctx, c, picture, capsules, options)
}

func (k *fake) Identities(ctx context.Context, c service.Caller, f store.IdentityFilter) ([]core.Identity, int, error) {
	if k.identities == nil {
		unset("identities")
	}
	return k.identities(ctx, c, f)
}

func (k *fake) Identity(ctx context.Context, c service.Caller, id int64) (core.Identity, error) {
	if k.identity == nil {
		unset("identity")
	}
	return k.identity(ctx, c, id)
}

func (k *fake) SaveIdentity(ctx context.Context, c service.Caller, i core.Identity) (core.Identity, error) {
	if k.saveIdentity == nil {
		unset("saveIdentity")
	}
	return k.saveIdentity(ctx, c, i)
}

func (k *fake) DeleteIdentity(ctx context.Context, c service.Caller, id int64) error {
	if k.deleteIdentity == nil {
		unset("deleteIdentity")
	}
	return k.deleteIdentity(ctx, c, id)
}

func (k *fake) AddImage(ctx context.Context, c service.Caller, id int64, class string, blob core.BlobID) (core.Vector, error) {
	if k.addImage == nil {
		unset("addImage")
	}
	return k.addImage(ctx, c, id, class, blob)
}

func (k *fake) AddVector(ctx context.Context, c service.Caller, id int64, class string, values []float64) (core.Vector, error) {
	if k.addVector == nil {
		unset("addVector")
	}
	return k.addVector(ctx, c, id, class, values)
}

func (k *fake) Vectors(ctx context.Context, c service.Caller, f store.VectorFilter) ([]core.Vector, error) {
	if k.vectors == nil {
		unset("vectors")
	}
	return k.vectors(ctx, c, f)
}

func (k *fake) Vector(ctx context.Context, c service.Caller, id core.VectorID) (core.Vector, error) {
	if k.vector == nil {
		unset("vector")
	}
	return k.vector(ctx, c, id)
}

func (k *fake) DeleteVectors(ctx context.Context, c service.Caller, f store.VectorFilter) error {
	if k.deleteVectors == nil {
		unset("deleteVectors")
	}
	return k.deleteVectors(ctx, c, f)
}

func (k *fake) DeleteVector(ctx context.Context, c service.Caller, id core.VectorID) error {
	if k.deleteVector == nil {
		unset("deleteVector")
	}
	return k.deleteVector(ctx, c, id)
}

func (k *fake) SaveBlob(ctx context.Context, c service.Caller, mime string, from io.Reader) (core.Blob, error) {
	if k.saveBlob == nil {
		unset("saveBlob")
	}
	return k.saveBlob(ctx, c, mime, from)
}

func (k *fake) Blob(ctx context.Context, c service.Caller, id core.BlobID) (core.Blob, io.ReadSeekCloser, error) {
	if k.blob == nil {
		unset("blob")
	}
	return k.blob(ctx, c, id)
}

func (k *fake) DeleteBlob(ctx context.Context, c service.Caller, id core.BlobID) error {
	if k.deleteBlob == nil {
		unset("deleteBlob")
	}
	return k.deleteBlob(ctx, c, id)
}

func (k *fake) Users(ctx context.Context, c service.Caller) ([]core.User, error) {
	if k.users == nil {
		unset("users")
	}
	return k.users(ctx, c)
}

func (k *fake) User(ctx context.Context, c service.Caller, id core.UserID) (core.User, error) {
	if k.user == nil {
		unset("user")
	}
	return k.user(ctx, c, id)
}

func (k *fake) SaveUser(ctx context.Context, c service.Caller, u core.User, password string) (core.User, error) {
	if k.saveUser == nil {
		unset("saveUser")
	}
	return k.saveUser(ctx, c, u, password)
}

func (k *fake) DeleteUser(ctx context.Context, c service.Caller, id core.UserID) error {
	if k.deleteUser == nil {
		unset("deleteUser")
	}
	return k.deleteUser(ctx, c, id)
}
