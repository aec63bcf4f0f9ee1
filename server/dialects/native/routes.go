package native

import (
	"net/http"

	"github.com/capstan-video/capstan/core"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patchM = http.MethodPatch
	del    = http.MethodDelete

	made     = http.StatusCreated
	conflict = http.StatusConflict
)

var pictures = []string{"image/jpeg", "image/png"}

// routes is the one table of the API.
func (a *api) routes() []route {
	var all []route
	for _, list := range [][]route{
		a.sessionRoutes(), a.streamRoutes(), a.zoneRoutes(), a.alertRoutes(), a.resultRoutes(), a.capsuleRoutes(),
		a.identityRoutes(), a.blobRoutes(), a.eventRoutes(), a.userRoutes(), a.serverRoutes(),
	} {
		all = append(all, list...)
	}
	return all
}

func (a *api) sessionRoutes() []route {
	return []route{
		{method: post, path: "/session", tag: "session", id: "signIn", summary: "Sign in", errors: []int{401, 403}, operation: write(a.signIn),
			text: "Sets the cookie of a session, for browsers. Programs send a token, or name and password by HTTP Basic, with every request."},
		{method: get, path: "/session", role: core.Viewer, tag: "session", id: "getSession", summary: "Who am I", operation: read(a.session)},
		{method: del, path: "/session", role: core.Viewer, tag: "session", id: "signOut", summary: "Sign out", operation: read(a.signOut)},
	}
}

func (a *api) streamRoutes() []route {
	return []route{
		{method: get, path: "/streams", role: core.Viewer, tag: "streams", id: "listStreams", summary: "List streams", operation: read(a.listStreams)},
		{method: post, path: "/streams", role: core.Editor, tag: "streams", id: "createStream", summary: "Add a stream", status: made, errors: []int{404, conflict, 503},
			operation: write(a.createStream), text: "With analyze it is started at once."},
		{method: get, path: "/streams/{stream}", role: core.Viewer, tag: "streams", id: "getStream", summary: "Get a stream", operation: read(a.stream)},
		{method: patchM, path: "/streams/{stream}", role: core.Editor, tag: "streams", id: "changeStream", summary: "Change a stream, start or stop its analysis", errors: []int{conflict, 503},
			operation: change(a.changeStream), text: "`{\"analyze\": true}` starts its analysis, for later starts of the server too."},
		{method: del, path: "/streams/{stream}", role: core.Editor, tag: "streams", id: "deleteStream", summary: "Delete a stream with its zones, alarms and alerts", operation: read(a.deleteStream)},
		{method: get, path: "/streams/{stream}/state", role: core.Viewer, tag: "streams", id: "getStreamState", summary: "How a stream does", operation: read(a.streamState)},
		{method: get, path: "/states", role: core.Viewer, tag: "streams", id: "listStreamStates", summary: "How all streams do", operation: read(a.listStates)},
		{method: get, path: "/streams/{stream}/url", role: core.Viewer, tag: "streams", id: "getStreamURL", summary: "Where a player finds a stream's video", errors: []int{501}, operation: read(a.streamURL)},
		{method: get, path: "/streams/{stream}/picture", role: core.Viewer, tag: "streams", id: "getStreamPicture", summary: "The next picture of a stream that is analysed",
			answerTypes: pictures[:1], errors: []int{503, 504}, operation: read(a.picture)},
		{method: get, path: "/premises", role: core.Viewer, tag: "premises", id: "listPremises", summary: "List premises", operation: read(a.listPremises)},
		{method: post, path: "/premises", role: core.Editor, tag: "premises", id: "createPremises", summary: "Add premises", status: made, operation: write(a.createPremises)},
		{method: get, path: "/premises/{premises}", role: core.Viewer, tag: "premises", id: "getPremises", summary: "Get premises", operation: read(a.onePremises)},
		{method: patchM, path: "/premises/{premises}", role: core.Editor, tag: "premises", id: "changePremises", summary: "Change premises", operation: change(a.changePremises)},
		{method: del, path: "/premises/{premises}", role: core.Editor, tag: "premises", id: "deletePremises", summary: "Delete premises with their streams", operation: read(a.deletePremises)},
	}
}

func (a *api) zoneRoutes() []route {
	return []route{
		{method: get, path: "/zones", role: core.Viewer, tag: "zones", id: "listZones", summary: "List zones", errors: []int{404}, operation: read(a.listZones)},
		{method: post, path: "/zones", role: core.Editor, tag: "zones", id: "createZone", summary: "Draw a zone or a line", status: made, errors: []int{404, conflict}, operation: write(a.createZone)},
		{method: get, path: "/zones/{zone}", role: core.Viewer, tag: "zones", id: "getZone", summary: "Get a zone", operation: read(a.zone)},
		{method: patchM, path: "/zones/{zone}", role: core.Editor, tag: "zones", id: "changeZone", summary: "Change a zone", errors: []int{conflict}, operation: change(a.changeZone)},
		{method: del, path: "/zones/{zone}", role: core.Editor, tag: "zones", id: "deleteZone", summary: "Delete a zone with its alarms", errors: []int{conflict}, operation: read(a.deleteZone)},
		{method: get, path: "/alarms", role: core.Viewer, tag: "alarms", id: "listAlarms", summary: "List alarms", errors: []int{404}, operation: read(a.listAlarms)},
		{method: post, path: "/alarms", role: core.Editor, tag: "alarms", id: "createAlarm", summary: "Add an alarm to a zone", status: made, errors: []int{404}, operation: write(a.createAlarm)},
		{method: get, path: "/alarms/{alarm}", role: core.Viewer, tag: "alarms", id: "getAlarm", summary: "Get an alarm", operation: read(a.alarm)},
		{method: patchM, path: "/alarms/{alarm}", role: core.Editor, tag: "alarms", id: "changeAlarm", summary: "Change an alarm", operation: change(a.changeAlarm)},
		{method: del, path: "/alarms/{alarm}", role: core.Editor, tag: "alarms", id: "deleteAlarm", summary: "Delete an alarm with its alerts", operation: read(a.deleteAlarm)},
	}
}

func (a *api) alertRoutes() []route {
	return []route{
		{method: get, path: "/alerts", role: core.Viewer, tag: "alerts", id: "listAlerts", summary: "List alerts, the newest first", errors: []int{404}, operation: read(a.listAlerts)},
		{method: get, path: "/alerts/{alert}", role: core.Viewer, tag: "alerts", id: "getAlert", summary: "Get an alert", operation: read(a.alert)},
		{method: patchM, path: "/alerts/{alert}", role: core.Editor, tag: "alerts", id: "verifyAlert", summary: "Say what an alert was found to be", operation: write(a.verifyAlert)},
		{method: get, path: "/alerts/{alert}/frame", role: core.Viewer, tag: "alerts", id: "getAlertFrame", summary: "The picture of an alert's begin", answerTypes: pictures[:1], operation: read(a.alertFrame)},
	}
}

// live is told of the two routes of results.
const live = "Server-sent events, or a WebSocket (a message for each result) where the request asks for one. " +
	"The first results tell what is known now; from then on each tells what is new of a stream. A reader that is slow gets the newest and is told how many it has skipped. " +
	"After `Last-Event-ID` nothing is told of streams that have not changed since. `event: end` (1001 of a WebSocket) says that the server stops, or that the session or token is over."

func (a *api) resultRoutes() []route {
	types := []string{"text/event-stream"}
	return []route{
		{method: get, path: "/statuses", role: core.Viewer, tag: "results", id: "listStatuses", summary: "The zones of all streams as they are now", operation: read(a.listStatuses)},
		{method: get, path: "/streams/{stream}/status", role: core.Viewer, tag: "results", id: "getStatus", summary: "The zones of a stream as they are now", operation: read(a.status)},
		{method: get, path: "/results", role: core.Viewer, tag: "results", id: "followResults", summary: "Results of all streams as they come", text: live,
			answerTypes: types, errors: []int{503}, operation: endless(read(a.results))},
		{method: get, path: "/streams/{stream}/results", role: core.Viewer, tag: "results", id: "followStreamResults", summary: "Results of a stream as they come", text: live,
			answerTypes: types, errors: []int{503}, operation: endless(read(a.streamResults))},
	}
}

func (a *api) capsuleRoutes() []route {
	all, own := "/capsules/{capsule}/setting", "/streams/{stream}/capsules/{capsule}/setting"
	text := "`options` are replaced one by one: null takes one back."
	return []route{
		{method: get, path: "/capsules", role: core.Viewer, tag: "capsules", id: "listCapsules", summary: "List capsules", operation: read(a.listCapsules)},
		{method: post, path: "/capsules", role: core.Admin, tag: "capsules", id: "loadCapsule", summary: "Load an uploaded capsule", status: made, errors: []int{404, conflict, 422, 507}, operation: write(a.loadCapsule)},
		{method: get, path: "/capsules/{capsule}", role: core.Viewer, tag: "capsules", id: "getCapsule", summary: "Get a capsule", operation: read(a.capsule)},
		{method: del, path: "/capsules/{capsule}", role: core.Admin, tag: "capsules", id: "unloadCapsule", summary: "Unload a capsule that came over HTTP", errors: []int{422}, operation: read(a.unloadCapsule)},
		{method: get, path: all, role: core.Viewer, tag: "capsules", id: "getSetting", summary: "What is set for a capsule, for all streams", operation: read(a.setting)},
		{method: put, path: all, role: core.Editor, tag: "capsules", id: "replaceSetting", summary: "Replace what is set for a capsule, for all streams", errors: []int{422}, operation: write(a.replaceSetting)},
		{method: patchM, path: all, role: core.Editor, tag: "capsules", id: "changeSetting", summary: "Change what is set for a capsule, for all streams", text: text, errors: []int{422}, operation: change(a.changeSetting)},
		{method: get, path: own, role: core.Viewer, tag: "capsules", id: "getOwnSetting", summary: "What is set for a capsule, for one stream", operation: read(a.ownSetting)},
		{method: put, path: own, role: core.Editor, tag: "capsules", id: "replaceOwnSetting", summary: "Replace what is set for a capsule, for one stream", errors: []int{422}, operation: write(a.replaceOwnSetting)},
		{method: patchM, path: own, role: core.Editor, tag: "capsules", id: "changeOwnSetting", summary: "Change what is set for a capsule, for one stream", text: text, errors: []int{422}, operation: change(a.changeOwnSetting)},
		{method: post, path: "/process_image", role: core.Viewer, tag: "capsules", id: "processImage", summary: "Run capsules on a picture", bodyTypes: pictures,
			errors: []int{404, 413, 422, 502, 504}, operation: read(a.processImage)},
	}
}

func (a *api) identityRoutes() []route {
	return []route{
		{method: get, path: "/identities", role: core.Viewer, tag: "identities", id: "listIdentities", summary: "List or search identities", operation: read(a.listIdentities)},
		{method: post, path: "/identities", role: core.Editor, tag: "identities", id: "createIdentity", summary: "Add an identity", status: made, errors: []int{conflict}, operation: write(a.createIdentity)},
		{method: get, path: "/identities/{identity}", role: core.Viewer, tag: "identities", id: "getIdentity", summary: "Get an identity", operation: read(a.identity)},
		{method: patchM, path: "/identities/{identity}", role: core.Editor, tag: "identities", id: "changeIdentity", summary: "Change an identity", errors: []int{conflict}, operation: change(a.changeIdentity)},
		{method: del, path: "/identities/{identity}", role: core.Editor, tag: "identities", id: "deleteIdentity", summary: "Delete an identity with its vectors", operation: read(a.deleteIdentity)},
		{method: post, path: "/identities/{identity}/images", role: core.Editor, tag: "identities", id: "addImage", summary: "Enrol an identity by a picture", status: made, errors: []int{conflict, 422, 502, 504},
			operation: write(a.addImage), text: "The picture shows exactly one object of the class."},
		{method: post, path: "/identities/{identity}/vectors", role: core.Editor, tag: "identities", id: "addVector", summary: "Enrol an identity by a vector", status: made, errors: []int{conflict, 422}, operation: write(a.addVector)},
		{method: del, path: "/identities/{identity}/vectors", role: core.Editor, tag: "identities", id: "deleteVectors", summary: "Delete the vectors of an identity", operation: read(a.deleteVectors)},
		{method: get, path: "/vectors", role: core.Viewer, tag: "identities", id: "listVectors", summary: "List vectors", operation: read(a.listVectors)},
		{method: get, path: "/vectors/{vector}", role: core.Viewer, tag: "identities", id: "getVector", summary: "Get a vector", operation: read(a.vector)},
		{method: del, path: "/vectors/{vector}", role: core.Editor, tag: "identities", id: "deleteVector", summary: "Delete a vector", operation: read(a.deleteVector)},
	}
}

func (a *api) blobRoutes() []route {
	any := []string{"*/*"}
	return []route{
		{method: get, path: "/blobs", role: core.Viewer, tag: "files", id: "listBlobs", summary: "List files", operation: read(a.listBlobs)},
		{method: post, path: "/blobs", role: core.Editor, tag: "files", id: "createBlob", summary: "Upload a file", status: made, bodyTypes: any, errors: []int{413, 507}, operation: read(a.createBlob),
			text: "The body is the file as it is, with its Content-Type."},
		{method: get, path: "/blobs/{blob}", role: core.Viewer, tag: "files", id: "getBlob", summary: "What is known of a file", operation: read(a.blob)},
		{method: get, path: "/blobs/{blob}/content", role: core.Viewer, tag: "files", id: "getBlobContent", summary: "Download a file, or a part of it by Range", answerTypes: any, operation: read(a.content)},
		{method: del, path: "/blobs/{blob}", role: core.Editor, tag: "files", id: "deleteBlob", summary: "Delete a file", operation: read(a.deleteBlob)},
	}
}

func (a *api) userRoutes() []route {
	return []route{
		{method: get, path: "/users", role: core.Admin, tag: "users", id: "listUsers", summary: "List users", operation: read(a.listUsers)},
		{method: post, path: "/users", role: core.Admin, tag: "users", id: "createUser", summary: "Add a user", status: made, errors: []int{conflict}, operation: write(a.createUser)},
		{method: get, path: "/users/{user}", role: core.Viewer, tag: "users", id: "getUser", summary: "Get a user: oneself, or any for administrators", operation: read(a.user)},
		{method: patchM, path: "/users/{user}", role: core.Admin, tag: "users", id: "changeUser", summary: "Change a user", errors: []int{conflict}, operation: change(a.changeUser)},
		{method: del, path: "/users/{user}", role: core.Admin, tag: "users", id: "deleteUser", summary: "Delete a user with their tokens", errors: []int{conflict}, operation: read(a.deleteUser)},
		{method: get, path: "/tokens", role: core.Viewer, tag: "tokens", id: "listTokens", summary: "List one's tokens; everybody's for administrators", operation: read(a.listTokens)},
		{method: post, path: "/tokens", role: core.Viewer, tag: "tokens", id: "createToken", summary: "Make a token", status: made, operation: write(a.createToken)},
		{method: del, path: "/tokens/{token}", role: core.Viewer, tag: "tokens", id: "revokeToken", summary: "Revoke a token", operation: read(a.revokeToken)},
		{method: get, path: "/audit", role: core.Admin, tag: "users", id: "listAudit", summary: "What was changed by whom, the newest first", operation: read(a.listAudit)},
	}
}

func (a *api) eventRoutes() []route {
	return []route{
		{method: get, path: "/destinations", role: core.Admin, tag: "events", id: "listDestinations", summary: "List where events are told", operation: read(a.listDestinations)},
		{method: post, path: "/destinations", role: core.Admin, tag: "events", id: "createDestination", summary: "Add a webhook, MQTT or NATS", status: made, errors: []int{conflict, 422, 501}, operation: write(a.createDestination)},
		{method: get, path: "/destinations/{destination}", role: core.Admin, tag: "events", id: "getDestination", summary: "Get a destination, and how deliveries go", operation: read(a.destination)},
		{method: patchM, path: "/destinations/{destination}", role: core.Admin, tag: "events", id: "changeDestination", summary: "Change a destination", errors: []int{conflict, 422, 501}, operation: change(a.changeDestination)},
		{method: del, path: "/destinations/{destination}", role: core.Admin, tag: "events", id: "deleteDestination", summary: "Delete a destination with what waits for it", errors: []int{conflict}, operation: read(a.deleteDestination)},
		{method: post, path: "/destinations/{destination}/test", role: core.Admin, tag: "events", id: "testDestination", summary: "Send a test event at once", errors: []int{501, 502}, operation: read(a.testDestination)},
		{method: post, path: "/destinations/{destination}/replay", role: core.Admin, tag: "events", id: "replayAll", summary: "Try all dead letters of a destination again", operation: read(a.replayAll)},
		{method: get, path: "/dead_letters", role: core.Admin, tag: "events", id: "listDeadLetters", summary: "List events that were given up, the newest first", errors: []int{404}, operation: read(a.listDeadLetters)},
		{method: post, path: "/dead_letters/{delivery}/replay", role: core.Admin, tag: "events", id: "replayDeadLetter", summary: "Try a dead letter again", operation: read(a.replay)},
		{method: del, path: "/dead_letters/{delivery}", role: core.Admin, tag: "events", id: "discardDeadLetter", summary: "Delete a dead letter", operation: read(a.discard)},
	}
}

func (a *api) serverRoutes() []route {
	return []route{
		{method: get, path: "/server", role: core.Viewer, tag: "server", id: "getServer", summary: "What answers here", operation: read(a.server)},
		{method: get, path: "/openapi.json", tag: "server", id: "getOpenAPI", summary: "This document", answerTypes: []string{"application/json"}, operation: read(a.openAPI)},
		{method: get, path: "/openapi/{api}", tag: "server", id: "getOtherOpenAPI", summary: "The document of another API of this server", answerTypes: []string{"application/json"}, operation: read(a.otherAPI)},
		{method: get, path: "/docs", tag: "server", id: "getDocs", summary: "A page to read this document and try the API", answerTypes: []string{"text/html"}, operation: read(a.docsPage)},
		{method: get, path: "/docs/{file}", tag: "server", id: "getDocsFile", summary: "A file of the page", answerTypes: []string{"text/css", "text/javascript"}, operation: read(a.docsFile)},
	}
}
