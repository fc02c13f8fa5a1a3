package docker

import (
	"net/http"
	"testing"
)

// A command that the engine was asked to run has not ended because the engine
// has not noted it yet.
func TestStateOfACommandThatBegins(t *testing.T) {
	for name, c := range map[string]struct {
		answers []map[string]any
		want    ProcessState
	}{
		"not noted, starting, running": {
			answers: []map[string]any{{"Running": false, "ExitCode": nil}, {"Running": true}, {"Running": true, "Pid": 7}},
			want:    ProcessState{Running: true, PID: 7},
		},
		"ended well":              {answers: []map[string]any{{"ExitCode": 0, "Pid": 7}}, want: ProcessState{PID: 7}},
		"could not be started":    {answers: []map[string]any{{"ExitCode": 127}}, want: ProcessState{ExitCode: 127}},
		"never noted, so it ends": {answers: []map[string]any{{"ExitCode": nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFake()
			asked := 0
			fake.also["GET /exec/y/json"] = func(w http.ResponseWriter, r *http.Request) {
				answer(c.answers[min(asked, len(c.answers)-1)])(w, r)
				asked++
			}
			p := &Process{Session: &Session{engine: fake.mustConnect(t), object: "exec y"}, ID: "y"}
			if state, err := p.State(t.Context()); err != nil || state != c.want {
				t.Errorf("%+v, error %v, want %+v", state, err, c.want)
			}
		})
	}
}
