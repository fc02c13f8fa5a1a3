//go:build linux

package cri

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Every call of both services is ours, in the version of the API that we build
// with: none falls through to the generated code, whose answer is "method X not
// implemented". What Docker cannot do answers in a sentence, and no message has
// a code in its text.
func TestEveryCallIsOurs(t *testing.T) {
	b, _ := newContainerBench(t)
	services := (&runtimeapi.VersionRequest{}).ProtoReflect().Descriptor().ParentFile().Services()
	called := 0
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			called++
			err := callEmpty(t, b.connection, methods.Get(j))
			name, message := string(methods.Get(j).Name()), status.Convert(err).Message()
			if strings.Contains(message, "not implemented") {
				t.Errorf("%s falls through: %v", name, err)
			}
			if strings.Contains(message, "rpc error:") {
				t.Errorf("%s: a code within the message: %v", name, err)
			}
			if refused := status.Code(err) == codes.Unimplemented; refused != cannot[name] || refused && !strings.Contains(message, ": ") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// As many as the interfaces have.
	if want := len(runtimeapi.RuntimeService_ServiceDesc.Methods) + len(runtimeapi.RuntimeService_ServiceDesc.Streams) +
		len(runtimeapi.ImageService_ServiceDesc.Methods) + len(runtimeapi.ImageService_ServiceDesc.Streams); called != want {
		t.Errorf("%d calls were made, the services have %d", called, want)
	}
}

// cannot are the calls that no Docker engine has anything for.
var cannot = map[string]bool{"CheckpointContainer": true, "CheckpointPod": true, "RestorePod": true}

// callEmpty makes a call with an empty request and returns what it ends with.
func callEmpty(t *testing.T, connection grpc.ClientConnInterface, method protoreflect.MethodDescriptor) error {
	t.Helper()
	wait := time.Minute
	if method.Name() == "GetContainerEvents" {
		wait = time.Second // it waits for events as long as it is let
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	path := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
	request, answer := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	if !method.IsStreamingServer() {
		return connection.Invoke(ctx, path, request, answer)
	}
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(request), stream.CloseSend()); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
