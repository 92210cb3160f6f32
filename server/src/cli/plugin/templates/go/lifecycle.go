// Package export_sandclock_plugin_lifecycle refuses a mistake in the configuration when a job is saved.
package export_sandclock_plugin_lifecycle

import (
	"plugin.example/{{name}}/settings"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// ValidateConfig answers the error that a person reads.
func ValidateConfig() wit.Result[wit.Unit, string] {
	if _, err := settings.Read(); err != nil {
		return wit.Err[wit.Unit](err.Error())
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}
