// Package settings is what a job configures.
package settings

import (
	"fmt"
	"strconv"

	config "plugin.example/{{name}}/bindings/sandclock_plugin_config"
)

// Read answers the factor; an error is for the person who saves the job.
func Read() (uint64, error) {
	text := config.Get("factor").SomeOr("3")
	factor, err := strconv.ParseUint(text, 10, 32)
	if err != nil || factor < 1 || factor > 100 {
		return 0, fmt.Errorf("config.factor: %s, has to be 1 to 100", text)
	}
	return factor, nil
}
