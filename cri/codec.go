package cri

import (
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec is gRPC's own but for how answers are encoded. That one takes its buffers
// from a pool whose sizes go from 32 KB to 1 MB, and clears them whole
// (grpc/mem, defaultBufferPoolSizeExponents): a list of 200 containers has 100 KB.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protocodec.Name)} }

// Marshal encodes. A message with nothing but fields that it does not know, as a
// kept list is, is encoded already: it is sent as it is, and not copied.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return c.CodecV2.Marshal(v) // says what is wrong with it
	}
	wire := message.ProtoReflect().GetUnknown()
	if len(wire) == 0 || proto.Size(message) != len(wire) {
		var err error
		if wire, err = proto.Marshal(message); err != nil {
			return nil, err
		}
	}
	return mem.BufferSlice{mem.SliceBuffer(wire)}, nil
}
