// Limits each run by what the job took before.
import { get } from "sandclock:plugin/config@0.1.0";

// Runs below which history says nothing.
const ENOUGH_RUNS = 20;
const MAX = 0xffff_ffff;

// componentize-qjs takes a u32 for an i32 both ways: from 2³¹ on it is a negative number in here.
const unsigned = (number) => number >>> 0;
const u32 = (number) => number | 0;

// What is thrown is the error that a person reads.
function factor() {
  const text = get("factor") ?? "3";
  const factor = JSON.parse(text);
  if (!Number.isInteger(factor) || factor < 1 || factor > 100) {
    throw `config.factor: ${text}, has to be 1 to 100`;
  }
  return factor;
}

export const timeoutPolicy = {
  decide(run, declaredMs, past) {
    if (past.runs < ENOUGH_RUNS) return null; // keep what the job declares
    const times = factor();
    const usual = unsigned(past.p99Ms);
    const declared = declaredMs === null ? MAX : unsigned(declaredMs);
    return {
      limitMs: u32(Math.min(usual * times, declared)),
      warnMs: null,
      graceMs: null,
      reason: `${times} times the p99 of ${usual} ms`,
    };
  },
};

export const lifecycle = {
  validateConfig() {
    factor();
  },
};
