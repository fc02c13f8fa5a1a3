package docker

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// oomEngine starts containers unless their score is refused.
type oomEngine struct {
	*fakeEngine
	refuses func(score int) bool
	scores  []int // of the containers that were to be started
}

func newOOMEngine(refuses func(score int) bool) *oomEngine {
	f := &oomEngine{fakeEngine: newFake(), refuses: refuses}
	f.also["GET /images/mascri/pause:1/json"] = answer(map[string]string{"Id": "sha256:1"})
	f.also["POST /containers/create"] = func(w http.ResponseWriter, r *http.Request) {
		var request container.CreateRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			panic(err)
		}
		f.scores = append(f.scores, request.HostConfig.OomScoreAdj)
		answer(container.CreateResponse{ID: "trial"})(w, r)
	}
	f.also["POST /containers/trial/start"] = func(w http.ResponseWriter, r *http.Request) {
		if f.refuses(f.scores[len(f.scores)-1]) {
			refuse(http.StatusInternalServerError, "runc: can't get final child's PID from pipe: EOF")(w, r)
		}
	}
	f.also["DELETE /containers/{id}"] = func(http.ResponseWriter, *http.Request) {}
	return f
}

func TestOOMScore(t *testing.T) {
	never := func(int) bool { return false }
	negative := func(score int) bool { return score < 0 }
	tests := []struct {
		name    string
		refuses func(int) bool
		scores  []int // asked for
		want    []int
		trials  int // containers started to find out
		logged  int // warnings
	}{
		{"granted", never, []int{-998, -500, 100}, []int{-998, -500, 100}, 1, 0},
		{"refused", negative, []int{-998, -500, 100}, []int{0, 0, 100}, 2, 1},
		{"not asked for", negative, []int{0, 1000}, []int{0, 1000}, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fake := newOOMEngine(test.refuses)
			e := fake.mustConnect(t)
			for i, score := range test.scores {
				if got, err := e.allowedOOMScore(t.Context(), score); err != nil || got != test.want[i] {
					t.Errorf("%d is allowed as %d, error %v, want %d", score, got, err, test.want[i])
				}
			}
			if len(fake.scores) != test.trials {
				t.Errorf("tried with %v, want %d trials", fake.scores, test.trials)
			}
			if got := strings.Count(fake.log.String(), "oom_score_adj"); got != test.logged {
				t.Errorf("%d warnings, want %d: %s", got, test.logged, fake.log.String())
			}
		})
	}
}

// An engine that starts nothing at all proves nothing about the score.
func TestOOMTrialOfABrokenEngine(t *testing.T) {
	broken := true
	fake := newOOMEngine(func(int) bool { return broken })
	e := fake.mustConnect(t)
	if _, err := e.allowedOOMScore(t.Context(), -998); err == nil {
		t.Error("no error although nothing starts")
	}
	broken = false
	if got, err := e.allowedOOMScore(t.Context(), -998); err != nil || got != -998 {
		t.Errorf("after the repair: %d, error %v", got, err)
	}
}

// A verdict holds for later runs on the same engine; one that grants, until a
// container does not start.
func TestOOMVerdictIsKept(t *testing.T) {
	may := true
	fake := newOOMEngine(func(score int) bool { return score < 0 && !may })
	fake.info.ID = "first"
	dir := filepath.Join(t.TempDir(), "state")
	var e *Engine
	allows := func(what string, want, trials int) {
		t.Helper()
		fake.scores = nil
		if got, err := e.allowedOOMScore(t.Context(), -998); err != nil || got != want || len(fake.scores) != trials {
			t.Errorf("%s: -998 is allowed as %d after trials %v, error %v; want %d after %d", what, got, fake.scores, err, want, trials)
		}
	}
	restart := func() { e = fake.mustConnect(t, WithStateDir(dir)) }
	restart()
	allows("at first", -998, 1)
	restart()
	allows("the next run", -998, 0)
	may = false
	fake.scores = []int{-998}
	if err := e.Start(t.Context(), "trial"); err == nil {
		t.Fatal("the engine starts what it may not")
	}
	allows("after a start that failed", 0, 2)
	allows("from then on", 0, 0)
	restart()
	allows("the run after that", 0, 0)
	if file := filepath.Join(dir, oomRecordFile); !strings.Contains(fake.log.String(), file) {
		t.Errorf("the log does not name %s: %s", file, fake.log.String())
	}
	may, fake.info.ID = true, "second"
	restart()
	allows("another engine", -998, 1)
}
