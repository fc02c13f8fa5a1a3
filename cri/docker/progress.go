package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// progress is one message of the JSON stream that the engine answers a pull or
// a load with. The request has succeeded by then as far as HTTP knows; errors
// come in the stream.
type progress struct {
	Status string `json:"status"`
	ID     string `json:"id"` // the layer's, short
	Detail struct {
		Current int64 `json:"current"` // bytes
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"errorDetail"`
}

// lastProgress reads the stream to its end, showing each message to see, and
// returns the error it reports, if any.
func lastProgress(stream io.Reader, see func(progress)) error {
	decoder := json.NewDecoder(stream)
	for {
		var p progress
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the engine's progress: %w", err)
		}
		if p.Error != nil {
			return errors.New(p.Error.Message)
		}
		see(p)
	}
}
