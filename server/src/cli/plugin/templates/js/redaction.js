// Hides tokens, and words that the job configures, in the output of runs.
import { get } from "sandclock:plugin/config@0.1.0";

const TOKEN = "tok_[A-Za-z0-9]{16,64}";
const LONGEST_TOKEN = 68;

// Shorter words would hide half of any output, longer ones fill half of a window.
const MIN_WORD_BYTES = 4;
const MAX_WORD_BYTES = 8192;

// What the host takes at once.
const MAX_EDITS = 4096;

// Texts of which each character stands for one byte, as those of an output do: UTF-8 of a text, and bytes of a window.
const utf8 = (text) => unescape(encodeURIComponent(text));

function bytewise(window) {
  let text = "";
  for (let at = 0; at < window.length; at += 4096) {
    text += String.fromCharCode.apply(null, window.subarray(at, at + 4096));
  }
  return text;
}

// What is thrown is the error that a person reads.
function words() {
  const text = get("words") ?? "[]";
  const words = JSON.parse(text);
  if (!Array.isArray(words)) throw `config.words: invalid type: ${text}, expected a list of strings`;
  return words.map((word, at) => {
    if (typeof word !== "string") throw `config.words[${at}]: invalid type: ${JSON.stringify(word)}, expected a string`;
    const bytes = utf8(word);
    if (bytes.length < MIN_WORD_BYTES) throw `config.words[${at}]: ${bytes.length} bytes, has to be at least ${MIN_WORD_BYTES}`;
    if (bytes.length > MAX_WORD_BYTES) throw `config.words[${at}]: ${bytes.length} bytes, has to be at most ${MAX_WORD_BYTES}`;
    return bytes;
  });
}

// For each rule an expression that is found at every place, so that one match does not hide another's beginning. A longer word goes
// before one that it begins with.
function rules() {
  const sorted = words().sort((one, other) => other.length - one.length);
  const literal = (word) => word.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&");
  const patterns = [["token", new RegExp(`(?=(${TOKEN}))`, "g")]];
  if (sorted.length > 0) patterns.push(["word", new RegExp(`(?=(${sorted.map(literal).join("|")}))`, "g")]);
  return { patterns, longest: Math.max(LONGEST_TOKEN, sorted[0]?.length ?? 0) };
}

// The matches that begin before `sure`, in order.
function matches(text, { patterns }, sure) {
  const found = patterns.flatMap(([rule, pattern]) =>
    Array.from(text.matchAll(pattern), ({ index, 1: match }) => ({ start: index, end: index + match.length, rule })),
  );
  return found.filter(({ start }) => start < sure).sort((one, other) => one.start - other.start);
}

// Of this stream.
let prepared;

export const outputRedaction = {
  begin() {
    prepared = rules();
  },
  scan(window, freshFrom, flush, carry) {
    const text = bytewise(window);
    // What may be the beginning of a match stays undecided until more has come.
    let sure = flush === "last" ? text.length : Math.max(text.length - prepared.longest + 1, 0);
    // So many bytes belong to a match of the window before, whose label is written.
    let end = carry.length === 2 ? carry[0] * 256 + carry[1] : 0;
    const hidden = end > 0 ? [{ start: 0, end, rule: "" }] : [];
    for (const match of matches(text, prepared, sure)) {
      if (match.start >= end) {
        if (hidden.length === MAX_EDITS) {
          // The rest comes again, or is hidden as a whole.
          if (flush === "more") sure = match.start;
          else end = sure = text.length;
          break;
        }
        hidden.push(match);
      }
      end = Math.max(end, match.end);
      hidden[hidden.length - 1].end = end;
    }
    if (hidden.length > 0) hidden[hidden.length - 1].end = Math.min(end, sure);
    const edits = hidden
      .filter(({ start, end }) => end > start)
      .map(({ start, end, rule }) => ({
        start,
        len: end - start,
        replacement: rule && `[redacted:${rule}]`,
        rule,
      }));
    const ahead = Math.max(end - sure, 0);
    return { edits, consumed: sure, carry: ahead > 0 ? Uint8Array.of(ahead >> 8, ahead & 255) : new Uint8Array() };
  },
};

export const lifecycle = {
  validateConfig() {
    words();
  },
};
