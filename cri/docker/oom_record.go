package docker

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
)

// oomRecordFile keeps an oomRecord in the state directory.
const oomRecordFile = "oom-score.json"

// oomRecord is the verdict on an engine. Nothing in the API tells whether an
// engine has been given other capabilities since, so one that grants is doubted
// once a container does not start, and one that refuses is logged with the way
// to have it tried again.
type oomRecord struct {
	Engine  string `json:"engine"` // its ID, stable over restarts
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	Granted bool   `json:"granted"`
}

func (e *Engine) oomRecord() oomRecord {
	return oomRecord{Engine: e.info.Load().ID, Version: e.version.Engine, Kernel: e.version.Kernel, Granted: e.oom.verdict == oomGranted}
}

// recallOOM takes the verdict of an earlier run, where there is one on the
// same engine.
func (e *Engine) recallOOM() {
	if e.oom.stateDir == "" {
		return
	}
	file := filepath.Join(e.oom.stateDir, oomRecordFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var found oomRecord
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		e.log.Warn("whether the engine may set a negative oom_score_adj is tried anew: the last verdict cannot be read", "file", file, "error", err)
		return
	}
	same := e.oomRecord()
	same.Granted = found.Granted
	if found != same {
		return
	}
	e.oom.verdict, e.oom.recalled = oomGranted, true
	if !found.Granted {
		e.oom.verdict = oomRefused
		e.log.Warn("the engine could not set a negative oom_score_adj when it was tried: containers get 0 instead; to have it tried again, remove the file and restart", "file", file)
	}
}

// recordOOM keeps the verdict. Where that fails it is tried again next time.
func (e *Engine) recordOOM() {
	if e.oom.stateDir == "" {
		return
	}
	text, err := json.Marshal(e.oomRecord())
	if err == nil {
		err = os.MkdirAll(e.oom.stateDir, 0o700)
	}
	if err == nil {
		err = atomicwriter.WriteFile(filepath.Join(e.oom.stateDir, oomRecordFile), text, 0o600)
	}
	if err != nil {
		e.log.Warn("whether the engine may set a negative oom_score_adj is not remembered", "error", err)
	}
}
