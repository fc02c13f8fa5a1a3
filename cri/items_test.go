package cri

import (
	"testing"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A list put together from encoded items reads as one that was encoded whole, in
// both messages that are made so.
func TestItemsReadAsAList(t *testing.T) {
	var items []item[*runtimeapi.Container]
	for i, id := range []string{"old", "new", "middle"} {
		one, err := encodeItem(&runtimeapi.Container{Id: id, CreatedAt: []int64{1, 3, 2}[i], Labels: map[string]string{"a": id}})
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, one)
	}
	sortItems(items)
	answer := &runtimeapi.ListContainersResponse{}
	answer.ProtoReflect().SetUnknown(encodeList(items))
	wire, err := proto.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	read := &runtimeapi.ListContainersResponse{}
	if err := proto.Unmarshal(wire, read); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(read, &runtimeapi.ListContainersResponse{Containers: objects(items)}) || read.Containers[0].Id != "new" {
		t.Errorf("read %v", read)
	}
	for _, answer := range []proto.Message{answer, &runtimeapi.ListPodSandboxResponse{}} {
		if field := answer.ProtoReflect().Descriptor().Fields().ByNumber(itemsField); !field.IsList() || field.Message() == nil {
			t.Errorf("field %d of %T is %v", itemsField, answer, field)
		}
	}
}
