// Package wire is what crosses the line between the engine and a capsule process: the messages
// of capsule.proto, their conversion from and to the nouns of core, and the handshake.
package wire

//go:generate sh generate.sh

import (
	"context"
	"errors"
	"fmt"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ProtocolVersion is the version of capsule.proto and of the packets. It changes when an older
// capsule could no longer be understood; added fields do not change it.
const ProtocolVersion = 1

// FramesEnv names the environment variable with the number of the descriptor that is the
// capsule's end of the doorbell. It is absent where frames go by Process.
const FramesEnv = "CAPSTAN_FRAMES_FD"

// LifeEnv, when set to anything, says that the end of standard input is the end of the engine: the
// capsule then ends too.
const LifeEnv = "CAPSTAN_STDIN_IS_LIFE"

// LogEnv names the least level that the engine wants of the capsule's log: trace, debug, info,
// warn, error or off.
const LogEnv = "CAPSTAN_LOG_LEVEL"

// MessageLimit bounds a gRPC message in bytes, both ways and on both sides: room for a packed
// 8K RGB picture.
const MessageLimit = 256 << 20

// PluginName is the one plugin that a capsule process serves.
const PluginName = "capsule"

// Handshake is what a process and its engine know each other by.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "CAPSTAN_CAPSULE",
	MagicCookieValue: "5b0d9f1e-capstan-capsule",
}

// Plugin joins the service to go-plugin: on the capsule's side with Impl, on the engine's without.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Impl CapsuleServer
}

// GRPCServer registers Impl.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	if p.Impl == nil {
		return errors.New("there is no capsule to serve")
	}
	RegisterCapsuleServer(s, p.Impl)
	return nil
}

// GRPCClient gives a CapsuleClient.
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return NewCapsuleClient(c), nil
}

// ServerOptions are those of the capsule's gRPC server.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.MaxRecvMsgSize(MessageLimit), grpc.MaxSendMsgSize(MessageLimit)}
}

// DialOptions are those of the engine's connection.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MessageLimit), grpc.MaxCallSendMsgSize(MessageLimit))}
}

// VersionFault says that a capsule speaks another version of the protocol, and who is to change.
func VersionFault(capsule string, theirs string) error {
	f := core.Faultf(core.CapsuleVersion, "capsule "+capsule, "", "it speaks version %s of the capsule protocol, this engine version %d", theirs, ProtocolVersion)
	f.Hint = "rebuild the capsule with the SDK of this engine"
	return f
}

// StatusError makes err an error of a gRPC reply; its kind arrives with it.
func StatusError(err error) error {
	if err == nil {
		return nil
	}
	s := status.New(codes.Unknown, err.Error())
	if d, detailErr := s.WithDetails(EncodeFault(err)); detailErr == nil {
		s = d
	}
	return s.Err()
}

// FromStatus gives the fault that a reply carries; ok is false for an error of the connection.
func FromStatus(err error) (fault error, ok bool) {
	s, isStatus := status.FromError(err)
	if !isStatus {
		return nil, false
	}
	for _, d := range s.Details() {
		if f, isFault := d.(*Fault); isFault {
			return DecodeFault(f), true
		}
	}
	switch s.Code() {
	case codes.Unknown, codes.InvalidArgument, codes.FailedPrecondition, codes.Internal, codes.Unimplemented:
		return &core.Fault{Kind: core.CapsuleFailed, Err: fmt.Errorf("%s: %s", s.Code(), s.Message())}, true
	default:
		return nil, false
	}
}
