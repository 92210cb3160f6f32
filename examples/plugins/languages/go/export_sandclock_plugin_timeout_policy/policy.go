// Package export_sandclock_plugin_timeout_policy limits a run to a multiple of the p99 of its job's history.
package export_sandclock_plugin_timeout_policy

import (
	"fmt"
	"math"
	"strconv"

	wit "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/sandclock_plugin_config"
	policy "wit_component/sandclock_plugin_timeout_policy"
)

func number(what, text string, least, most uint64) (uint64, error) {
	value, err := strconv.ParseUint(text, 10, 32)
	if err != nil || text != strconv.FormatUint(value, 10) || value < least || value > most {
		return 0, fmt.Errorf("%s: %s, has to be a whole number from %d to %d", what, text, least, most)
	}
	return value, nil
}

func setting(key, absent string, least, most uint64) (uint64, error) {
	return number("config."+key, sandclock_plugin_config.Get(key).SomeOr(absent), least, most)
}

func decide(run policy.RunInfo, declared wit.Option[uint32], past policy.History) (*policy.Decision, error) {
	factor, err := setting("factor", "3", 1, 100)
	if err != nil {
		return nil, err
	}
	floor, err := setting("floor_ms", "60000", 1, math.MaxUint32)
	if err != nil {
		return nil, err
	}
	minRuns, err := setting("min_runs", "5", 1, 100)
	if err != nil {
		return nil, err
	}
	for _, label := range run.Labels {
		if label.F0 != "timeout-factor" {
			continue
		}
		if factor, err = number("label timeout-factor", label.F1, 1, 100); err != nil {
			return nil, err
		}
	}
	successes := uint64(past.Runs - min(past.Failures, past.Runs))
	if successes < minRuns {
		return nil, nil
	}
	limit := min(uint64(past.P99Ms)*factor, math.MaxUint32)
	reason := fmt.Sprintf("%s: %d times the p99 of %d runs, %d ms", run.JobName, factor, successes, past.P99Ms)
	if uint64(past.Failures) > successes {
		limit = min(limit*2, math.MaxUint32)
		reason += ", doubled since most runs failed"
	}
	if limit < floor {
		limit = floor
		reason += ", raised to the floor"
	}
	if declared.IsSome() && uint64(declared.Some()) < limit {
		limit = uint64(declared.Some())
		reason += ", cut at what the job declares"
	}
	grace := wit.None[uint32]()
	if limit >= 3_600_000 {
		grace = wit.Some(uint32(30_000))
	}
	return &policy.Decision{
		LimitMs: wit.Some(uint32(limit)),
		WarnMs:  wit.Some(uint32(limit - limit/5)),
		GraceMs: grace,
		Reason:  fmt.Sprintf("%s: %d ms", reason, limit),
	}, nil
}

// Decide is the hook: no decision keeps what the job declares.
func Decide(run policy.RunInfo, declared wit.Option[uint32], past policy.History) wit.Result[wit.Option[policy.Decision], string] {
	decision, err := decide(run, declared, past)
	switch {
	case err != nil:
		return wit.Err[wit.Option[policy.Decision]](err.Error())
	case decision == nil:
		return wit.Ok[wit.Option[policy.Decision], string](wit.None[policy.Decision]())
	default:
		return wit.Ok[wit.Option[policy.Decision], string](wit.Some(*decision))
	}
}
