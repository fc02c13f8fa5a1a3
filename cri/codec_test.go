package cri

import (
	"testing"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Whatever an answer is made of, what is sent is its encoding; a kept one is not
// encoded again, nor copied.
func TestCodec(t *testing.T) {
	known := &runtimeapi.ListContainersResponse{Containers: []*runtimeapi.Container{{Id: "a"}, {Id: "b"}}}
	wire, err := proto.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	kept, both := &runtimeapi.ListContainersResponse{}, proto.CloneOf(known)
	kept.ProtoReflect().SetUnknown(wire)
	both.ProtoReflect().SetUnknown(wire)
	for name, test := range map[string]struct {
		given proto.Message
		want  int // containers
	}{
		"encoded now": {known, 2}, "kept": {kept, 2}, "both": {both, 4}, "empty": {&runtimeapi.ListContainersResponse{}, 0},
	} {
		sent, err := newCodec().Marshal(test.given)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if test.given == proto.Message(kept) && &sent[0].ReadOnlyData()[0] != &wire[0] {
			t.Error("a kept answer was copied")
		}
		var got runtimeapi.ListContainersResponse
		if err := newCodec().Unmarshal(sent, &got); err != nil || len(got.GetContainers()) != test.want {
			t.Errorf("%s: sent %q, read as %v, error %v", name, sent.Materialize(), &got, err)
		}
	}
	if _, err := newCodec().Marshal("no message"); err == nil {
		t.Error("what is no message was encoded")
	}
}
