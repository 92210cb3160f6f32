// Tells a target of a job's first failure, and of its recovery.
import { get } from "sandclock:plugin/config@0.1.0";

const FAILURES = ["failed", "timed_out", "lost", "missed"];

// UTF-8; QuickJS has no TextEncoder.
const bytes = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));

// What is thrown is the error that a person reads.
function target() {
  const text = get("target") ?? '"default"';
  const target = JSON.parse(text);
  if (typeof target !== "string") throw `config.target: invalid type: ${text}, expected a string`;
  return target;
}

function transition(end) {
  const failedBefore = FAILURES.includes(end.previousState);
  if (FAILURES.includes(end.state)) return failedBefore ? null : "failure";
  return failedBefore && end.state === "succeeded" ? "recovery" : null;
}

export const runEnd = {
  onEnd(run, end) {
    const to = target();
    const event = transition(end);
    if (event === null) return [];
    const text = `${run.jobName} ${end.state}: ${end.cause}`;
    return [
      {
        target: to,
        dedupeKey: `${run.jobId}/${event}`,
        contentType: "application/json",
        body: bytes(JSON.stringify({ event, run: run.runId, text })),
        headers: [],
      },
    ];
  },
};

export const lifecycle = {
  validateConfig() {
    target();
  },
};
