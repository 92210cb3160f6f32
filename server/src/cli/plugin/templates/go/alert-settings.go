// Package settings is what a job configures.
package settings

import (
	"encoding/json"
	"fmt"

	config "plugin.example/{{name}}/bindings/sandclock_plugin_config"
)

// Read answers the target; an error is for the person who saves the job.
func Read() (string, error) {
	text := config.Get("target").SomeOr(`"default"`)
	var target *string
	if err := json.Unmarshal([]byte(text), &target); err != nil || target == nil {
		return "", fmt.Errorf("config.target: invalid type: %s, expected a string", text)
	}
	return *target, nil
}
