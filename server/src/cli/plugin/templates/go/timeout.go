// Package export_sandclock_plugin_timeout_policy limits each run by what the job took before.
package export_sandclock_plugin_timeout_policy

import (
	"fmt"
	"math"

	policy "plugin.example/{{name}}/bindings/sandclock_plugin_timeout_policy"
	"plugin.example/{{name}}/settings"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Runs below which history says nothing.
const enoughRuns = 20

type answer = wit.Option[policy.Decision]

// Decide answers none to keep what the job declares.
func Decide(_ policy.RunInfo, declaredMs wit.Option[uint32], past policy.History) wit.Result[answer, string] {
	if past.Runs < enoughRuns {
		return wit.Ok[answer, string](wit.None[policy.Decision]())
	}
	factor, err := settings.Read()
	if err != nil {
		return wit.Err[answer](err.Error())
	}
	usual := past.P99Ms
	limit := min(uint64(usual)*factor, uint64(declaredMs.SomeOr(math.MaxUint32)))
	return wit.Ok[answer, string](wit.Some(policy.Decision{
		LimitMs: wit.Some(uint32(limit)),
		WarnMs:  wit.None[uint32](),
		GraceMs: wit.None[uint32](),
		Reason:  fmt.Sprintf("%d times the p99 of %d ms", factor, usual),
	}))
}
