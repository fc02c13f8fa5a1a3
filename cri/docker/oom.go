package docker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/docker/docker/api/types/container"
	"github.com/mascri/mascri/cri/docker/pause"
)

// oomFloor remembers whether the engine may give a process a negative
// oom_score_adj.
//
// Lowering the score below what a process inherited takes CAP_SYS_RESOURCE
// (proc_pid_oom_score_adj(5)), which an engine inside a container or a confined
// VM may lack; runc then fails with a message that does not mention the score.
// No field of the API tells, so it is tried once: a throw-away pause container
// is started with the score, and after a failure another without it. Only when
// the second succeeds was it the score. Other runs of this program take the
// verdict from a file, see oomRecord.
type oomFloor struct {
	turn        limiter // guards verdict and recalled; unlike a mutex it can be waited for with a context
	verdict     oomVerdict
	recalled    bool        // the verdict is an earlier run's
	startFailed atomic.Bool // a recalled verdict may be wrong
	stateDir    string      // "": nothing is kept
}

type oomVerdict int

const (
	oomUntried oomVerdict = iota
	oomGranted
	oomRefused
)

// Prepare does what the first CreateSandbox would otherwise wait for: it loads
// the pause image and finds out whether processes may get the given
// oom_score_adj.
func (e *Engine) Prepare(ctx context.Context, oomScoreAdj int) error {
	if _, err := e.EnsurePause(ctx); err != nil {
		return err
	}
	_, err := e.allowedOOMScore(ctx, oomScoreAdj)
	return err
}

// allowedOOMScore is score, or 0 where the engine may not set a negative one.
func (e *Engine) allowedOOMScore(ctx context.Context, score int) (allowed int, err error) {
	if score >= 0 {
		return score, nil
	}
	err = e.oom.turn.do(ctx, func() error {
		if err := e.settleOOM(ctx, score); err != nil {
			return err
		}
		if e.oom.verdict == oomGranted {
			allowed = score
		}
		return nil
	})
	return allowed, err
}

// settleOOM comes to a verdict.
func (e *Engine) settleOOM(ctx context.Context, score int) (err error) {
	if e.oom.verdict == oomUntried && !e.oom.startFailed.Load() {
		e.recallOOM()
	}
	if e.oom.recalled && e.oom.startFailed.Load() {
		e.oom.verdict, e.oom.recalled = oomUntried, false
	}
	if e.oom.verdict != oomUntried {
		return nil
	}
	if e.oom.verdict, err = e.tryOOMScore(ctx, score); err == nil {
		e.recordOOM()
	}
	return err
}

// tryOOMScore finds out by starting containers.
func (e *Engine) tryOOMScore(ctx context.Context, score int) (oomVerdict, error) {
	refusal := e.startOnce(ctx, score)
	if refusal == nil {
		return oomGranted, nil
	}
	if err := e.startOnce(ctx, 0); err != nil {
		return oomUntried, fmt.Errorf("try whether the engine may set oom_score_adj %d: %w", score, err)
	}
	e.log.Warn("the engine may not set a negative oom_score_adj (it lacks CAP_SYS_RESOURCE): "+
		"containers get 0 instead and the kernel may kill them earlier under memory pressure",
		"wanted", score, "refusal", refusal)
	return oomRefused, nil
}

// trialName is the throw-away container's. One that a killed process left is
// removed by the next trial.
const trialName = "mascri-trial"

// startOnce starts a pause container with the score and removes it again.
func (e *Engine) startOnce(ctx context.Context, score int) (err error) {
	if _, err := e.EnsurePause(ctx); err != nil {
		return err
	}
	config := &container.Config{Image: pause.Tag, Healthcheck: noHealthcheck()}
	host := &container.HostConfig{
		NetworkMode: networkMode(Private),
		LogConfig:   container.LogConfig{Type: "none"},
		Init:        new(bool),
		OomScoreAdj: score,
	}
	if err := e.Remove(ctx, trialName); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	id, err := e.create(ctx, "create trial container", trialName, config, host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), id)) }()
	return e.Start(ctx, id)
}
