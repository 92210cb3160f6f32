// Package export_sandclock_plugin_run_end tells a target of a job's first failure, and of its recovery.
package export_sandclock_plugin_run_end

import (
	"encoding/json"
	"fmt"
	"slices"

	runend "plugin.example/{{name}}/bindings/sandclock_plugin_run_end"
	"plugin.example/{{name}}/settings"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

var failures = []string{"failed", "timed_out", "lost", "missed"}

type header = wit.Tuple2[string, string]

// What has happened; nothing for an end that nobody has to know of.
func transition(end runend.End) string {
	failed := slices.Contains(failures, end.State)
	failedBefore := slices.Contains(failures, end.PreviousState.SomeOr(""))
	switch {
	case failed && !failedBefore:
		return "failure"
	case failedBefore && end.State == "succeeded":
		return "recovery"
	default:
		return ""
	}
}

func deliveries(run runend.RunInfo, end runend.End) ([]runend.Delivery, error) {
	target, err := settings.Read()
	if err != nil {
		return nil, err
	}
	event := transition(end)
	if event == "" {
		return nil, nil
	}
	text := fmt.Sprintf("%s %s: %s", run.JobName, end.State, end.Cause)
	body, err := json.Marshal(map[string]string{"event": event, "run": run.RunId, "text": text})
	if err != nil {
		return nil, err
	}
	return []runend.Delivery{{
		Target:      target,
		DedupeKey:   wit.Some(run.JobId + "/" + event),
		ContentType: "application/json",
		Body:        body,
		Headers:     []header{},
	}}, nil
}

// OnEnd answers what to send.
func OnEnd(run runend.RunInfo, end runend.End) wit.Result[[]runend.Delivery, string] {
	deliveries, err := deliveries(run, end)
	if err != nil {
		return wit.Err[[]runend.Delivery](err.Error())
	}
	return wit.Ok[[]runend.Delivery, string](deliveries)
}
