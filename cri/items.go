package cri

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// item is an object of a list with its encoding, both made once for each state
// of the object: nothing else of it changes, and to encode hundreds of objects
// with their labels for every call is what a list costs.
type item[T listed] struct {
	object  T
	created int64
	wire    []byte
}

// listed is an object of the CRI's lists.
type listed interface {
	proto.Message
	GetCreatedAt() int64
}

// itemsField is the field of the objects in ListPodSandboxResponse and in
// ListContainersResponse.
const itemsField = 1

// encodeItem encodes an object as one element of a list.
func encodeItem[T listed](object T) (item[T], error) {
	wire, err := proto.Marshal(object)
	if err != nil {
		return item[T]{}, err
	}
	tagged := protowire.AppendBytes(protowire.AppendTag(nil, itemsField, protowire.BytesType), wire)
	return item[T]{object, object.GetCreatedAt(), tagged}, nil
}

// sortItems puts the newest first.
func sortItems[T listed](items []item[T]) {
	slices.SortStableFunc(items, func(a, b item[T]) int { return cmp.Compare(b.created, a.created) })
}

// encodeList is a list of the items: in protobuf, its elements one after the other
// (protobuf.dev, "Encoding": records may come in any order and number).
func encodeList[T listed](items []item[T]) []byte {
	size := 0
	for _, one := range items {
		size += len(one.wire)
	}
	wire := make([]byte, 0, size)
	for _, one := range items {
		wire = append(wire, one.wire...)
	}
	return wire
}

// objects are those of the items.
func objects[T listed](items []item[T]) (all []T) {
	for _, one := range items {
		all = append(all, one.object)
	}
	return all
}
