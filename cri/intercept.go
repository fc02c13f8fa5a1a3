package cri

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unary does for each call what no method should have to: it catches panics,
// gives the error its code and writes one line to the log.
func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	begin := time.Now()
	defer func() {
		if reason := recover(); reason != nil {
			err = s.panicked(info.FullMethod, reason)
		}
		err = toStatus(err)
		s.ended(ctx, info.FullMethod, subject(request, answer), time.Since(begin), err)
	}()
	return handler(ctx, request)
}

// streamUntil is unary for the calls that answer with a stream. Some of them go
// on for as long as the caller likes, so they end with stopping.
func (s *Server) streamUntil(stopping context.Context) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		begin := time.Now()
		ctx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(stopping, cancel)()
		defer func() {
			if reason := recover(); reason != nil {
				err = s.panicked(info.FullMethod, reason)
			}
			if err != nil && stopping.Err() != nil && stream.Context().Err() == nil {
				err = errStopping
			}
			err = toStatus(err)
			s.ended(stream.Context(), info.FullMethod, "", time.Since(begin), err)
		}()
		return handler(server, endingStream{stream, ctx})
	}
}

// errStopping ends the streams of a daemon that stops.
var errStopping = status.Error(codes.Unavailable, "the daemon is stopping: call again, and list what there is")

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s endingStream) Context() context.Context { return s.ctx }

// panicked turns a defect into an error of this one call: the pods of a node
// should not lose their runtime to it.
func (s *Server) panicked(method string, reason any) error {
	s.log.Error("a call panicked; please report this", "method", path.Base(method), "reason", reason, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, fmt.Sprintf("%s panicked: %v", path.Base(method), reason))
}

// ended tells of a call that is over, in the log and to whoever counts.
func (s *Server) ended(ctx context.Context, method, subject string, took time.Duration, err error) {
	name := path.Base(method)
	s.config.OnCall(name, took, err)
	attributes := []slog.Attr{slog.String("method", name), slog.Duration("took", took)}
	if subject != "" {
		attributes = append(attributes, slog.String("of", subject))
	}
	level := slog.LevelInfo
	switch {
	case err != nil:
		level = slog.LevelWarn
		attributes = append(attributes, slog.String("code", status.Code(err).String()), slog.String("error", status.Convert(err).Message()))
	case isPoll(name) || strings.HasPrefix(method, "/grpc.health."):
		level = slog.LevelDebug
	}
	s.log.LogAttrs(ctx, level, "call", attributes...)
}

// isPoll tells the calls that only look. The kubelet makes several of them each
// second, and a log full of them hides those that change something.
func isPoll(method string) bool {
	return strings.HasPrefix(method, "List") || strings.HasPrefix(method, "Stream") ||
		strings.HasSuffix(method, "Status") || strings.HasSuffix(method, "Stats") ||
		method == "Version" || method == "RuntimeConfig" || method == "ImageFsInfo"
}

// subject is the ID that a call is about: that of the request, or the one that
// the answer brings.
func subject(request, answer any) string {
	for _, message := range []any{request, answer} {
		if m, ok := message.(interface{ GetContainerId() string }); ok && m.GetContainerId() != "" {
			return m.GetContainerId()
		}
		if m, ok := message.(interface{ GetPodSandboxId() string }); ok && m.GetPodSandboxId() != "" {
			return m.GetPodSandboxId()
		}
	}
	return ""
}
