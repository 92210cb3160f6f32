// Package settings is what a job configures.
package settings

import (
	"encoding/json"
	"fmt"

	config "plugin.example/{{name}}/bindings/sandclock_plugin_config"
)

// Shorter words would hide half of any output, longer ones fill half of a window.
const (
	minWordBytes = 4
	maxWordBytes = 8192
)

// Read answers the words; an error is for the person who saves the job.
func Read() ([][]byte, error) {
	text := config.Get("words").SomeOr("[]")
	var values []json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil || values == nil {
		return nil, fmt.Errorf("config.words: invalid type: %s, expected a list of strings", text)
	}
	words := [][]byte{}
	for at, value := range values {
		var word *string
		if err := json.Unmarshal(value, &word); err != nil || word == nil {
			return nil, fmt.Errorf("config.words[%d]: invalid type: %s, expected a string", at, value)
		}
		if len(*word) < minWordBytes {
			return nil, fmt.Errorf("config.words[%d]: %d bytes, has to be at least %d", at, len(*word), minWordBytes)
		}
		if len(*word) > maxWordBytes {
			return nil, fmt.Errorf("config.words[%d]: %d bytes, has to be at most %d", at, len(*word), maxWordBytes)
		}
		words = append(words, []byte(*word))
	}
	return words, nil
}
