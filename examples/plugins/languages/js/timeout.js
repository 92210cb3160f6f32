// Limits a run to a multiple of the p99 of its job's history.
import { get } from "sandclock:plugin/config@0.1.0";

const MAX = 0xffff_ffff;

// componentize-qjs takes a u32 for an i32 both ways: from 2³¹ on it is a negative number in here.
const unsigned = (number) => number >>> 0;
const u32 = (number) => number | 0;

// What is thrown is the error that a person reads.
function number(what, text, least, most) {
  const value = /^(0|[1-9][0-9]{0,9})$/.test(text) ? Number(text) : MAX + 1;
  if (value < least || value > most) {
    throw `${what}: ${text}, has to be a whole number from ${least} to ${most}`;
  }
  return value;
}

function settings() {
  const read = (key, absent, least, most) =>
    number(`config.${key}`, get(key) ?? absent, least, most);
  return {
    factor: read("factor", "3", 1, 100),
    floor: read("floor_ms", "60000", 1, MAX),
    minRuns: read("min_runs", "5", 1, 100),
  };
}

export const timeoutPolicy = {
  decide(run, declaredMs, past) {
    let { factor, floor, minRuns } = settings();
    const label = run.labels.find(([key]) => key === "timeout-factor");
    if (label) factor = number("label timeout-factor", label[1], 1, 100);
    const successes = Math.max(past.runs - past.failures, 0);
    if (successes < minRuns) return null;
    const p99 = unsigned(past.p99Ms);
    let limit = Math.min(p99 * factor, MAX);
    let reason = `${run.jobName}: ${factor} times the p99 of ${successes} runs, ${p99} ms`;
    if (past.failures > successes) {
      limit = Math.min(limit * 2, MAX);
      reason += ", doubled since most runs failed";
    }
    if (limit < floor) {
      limit = floor;
      reason += ", raised to the floor";
    }
    if (declaredMs !== null && unsigned(declaredMs) < limit) {
      limit = unsigned(declaredMs);
      reason += ", cut at what the job declares";
    }
    return {
      limitMs: u32(limit),
      warnMs: u32(limit - Math.floor(limit / 5)),
      graceMs: limit >= 3_600_000 ? 30_000 : null,
      reason: `${reason}: ${limit} ms`,
    };
  },
};

export const lifecycle = {
  validateConfig() {
    settings();
  },
};
