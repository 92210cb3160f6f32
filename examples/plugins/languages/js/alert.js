// Tells a channel of the first failure in a row, and of the recovery. See README.md.
import { get } from "sandclock:plugin/config@0.1.0";

// UTF-8; QuickJS has no TextEncoder.
const bytes = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));

const FAILURES = ["failed", "timed_out", "lost"];

export const runEnd = {
  onEnd(run, end) {
    const failed = FAILURES.includes(end.state);
    const recovered = end.state === "succeeded" && FAILURES.includes(end.previousState);
    if (!recovered && !(failed && end.failuresInARow === 1)) return [];
    const text = recovered ? `${run.jobName} works again` : `${run.jobName} ${end.state}: ${end.cause}`;
    return [
      {
        target: JSON.parse(get("target") ?? '"default"'),
        dedupeKey: run.jobId,
        contentType: "application/json",
        body: bytes(JSON.stringify({ text })),
        headers: [],
      },
    ];
  },
};
