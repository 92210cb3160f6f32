// Hides tokens, and words that the job configures, in the output of runs.
#include "text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef exports_sandclock_plugin_output_redaction_edit_t edit_t;
typedef exports_sandclock_plugin_output_redaction_verdict_t verdict_t;
typedef exports_sandclock_plugin_output_redaction_flush_t flush_t;
#define MORE EXPORTS_SANDCLOCK_PLUGIN_OUTPUT_REDACTION_FLUSH_MORE
#define LAST EXPORTS_SANDCLOCK_PLUGIN_OUTPUT_REDACTION_FLUSH_LAST

// A token: these letters, and so many more letters and digits.
static const char PREFIX[] = {'t', 'o', 'k', '_'};
#define FEWEST 16
#define MOST 64

// Shorter words would hide half of any output, longer ones fill half of a window.
#define MIN_WORD_BYTES 4
#define MAX_WORD_BYTES 8192

// What the host takes at once.
#define MAX_EDITS 4096

// Of this stream: the words, what a match may begin with, and the bytes of the longest one that there may be.
static text_t *words;
static size_t count;
static bool begins[256];
static size_t reach;

static bool wrong_size(size_t at, size_t len, const char *limit, size_t bytes, text_t *err) {
  put(err, "config.words[");
  put_number(err, at);
  put(err, "]: ");
  put_number(err, len);
  put(err, " bytes, has to be at ");
  put(err, limit);
  put(err, " ");
  put_number(err, bytes);
  return false;
}

static bool add(text_t word, text_t *err) {
  if (word.len < MIN_WORD_BYTES) return wrong_size(count, word.len, "least", MIN_WORD_BYTES, err);
  if (word.len > MAX_WORD_BYTES) return wrong_size(count, word.len, "most", MAX_WORD_BYTES, err);
  words = realloc(words, (count + 1) * sizeof *words);
  if (!words) abort();
  words[count++] = word;
  begins[word.ptr[0]] = true;
  if (word.len > reach) reach = word.len;
  return true;
}

// Reads the words; if one is wrong, `err` is what a person reads.
static bool prepare(text_t *err) {
  text_t text = setting("words", "[]");
  const uint8_t *at = text.ptr, *end = text.ptr + text.len;
  *err = (text_t){NULL, 0};
  count = 0;
  reach = sizeof PREFIX + MOST;
  begins[(uint8_t)PREFIX[0]] = true;
  if (*at != '[') {
    put(err, "config.words: invalid type: ");
    put_n(err, text.ptr, text.len);
    put(err, ", expected a list of strings");
    return false;
  }
  for (at++; at < end && *at != ']';) {
    if (*at == ',' || isspace(*at)) {
      at++;
      continue;
    }
    text_t word = {NULL, 0};
    at = read_json(at, end, &word);
    if (!at) {
      put(err, "config.words[");
      put_number(err, count);
      put(err, "]: invalid type, expected a string");
      return false;
    }
    if (!add(word, err)) return false;
  }
  this_plugin_string_free(&text);
  return true;
}

// The bytes of a token at the beginning of the text; 0 if there is none.
static size_t token(const uint8_t *text, size_t len) {
  size_t end = sizeof PREFIX;
  if (len < end || memcmp(text, PREFIX, end)) return 0;
  while (end < len && end < sizeof PREFIX + MOST && isalnum(text[end])) end++;
  return end < sizeof PREFIX + FEWEST ? 0 : end;
}

// The bytes of the longest word at the beginning of the text; 0 if there is none.
static size_t word(const uint8_t *text, size_t len) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    text_t word = words[i];
    if (word.len > found && word.len <= len && !memcmp(text, word.ptr, word.len)) found = word.len;
  }
  return found;
}

// A window, and what of it is hidden: edits of which the last one goes on to `end`. From `sure` on it is undecided: a match may begin
// there whose end has not come.
typedef struct {
  size_t len, sure, end, used;
  flush_t flush;
  edit_t *edits;
} scan_t;

static void append(scan_t *scan, edit_t edit) {
  size_t used = scan->used++;
  // It doubles.
  if (!(used & (used - 1))) scan->edits = realloc(scan->edits, (used ? 2 * used : 1) * sizeof edit);
  if (!scan->edits) abort();
  scan->edits[used] = edit;
}

// Hides a match. It joins the stretch that it begins in, so that none hides another's beginning.
static void hide(scan_t *scan, size_t start, size_t end, const char *rule) {
  if (start >= scan->end && scan->used == MAX_EDITS) {
    // The rest comes again, or is hidden as a whole.
    if (scan->flush == MORE) {
      scan->sure = start;
      return;
    }
    end = scan->sure = scan->len;
  } else if (start >= scan->end) {
    edit_t edit = {.start = start};
    put(&edit.rule, rule);
    put(&edit.replacement, "[redacted:");
    put(&edit.replacement, rule);
    put(&edit.replacement, "]");
    append(scan, edit);
  }
  if (end > scan->end) scan->end = end;
  edit_t *last = &scan->edits[scan->used - 1];
  last->len = scan->end - last->start;
}

static void find(scan_t *scan, const uint8_t *window) {
  for (size_t at = 0; at < scan->sure; at++) {
    if (!begins[window[at]]) continue;
    size_t found = token(window + at, scan->len - at);
    if (found) hide(scan, at, at + found, "token");
    if (at >= scan->sure) break;
    found = word(window + at, scan->len - at);
    if (found) hide(scan, at, at + found, "word");
  }
}

bool exports_sandclock_plugin_output_redaction_begin(exports_sandclock_plugin_output_redaction_run_info_t *run,
                                                     exports_sandclock_plugin_output_redaction_channel_t channel,
                                                     text_t *err) {
  exports_sandclock_plugin_output_redaction_run_info_free(run);
  return prepare(err);
}

bool exports_sandclock_plugin_output_redaction_scan(this_plugin_list_u8_t *window, uint32_t fresh_from, flush_t flush,
                                                    this_plugin_list_u8_t *carry, verdict_t *verdict, text_t *err) {
  scan_t scan = {.len = window->len, .sure = window->len, .flush = flush};
  if (flush != LAST) scan.sure = scan.len < reach ? 0 : scan.len - reach + 1;
  if (carry->len == 2) {
    // So many bytes belong to a match of the window before, whose label is written.
    scan.end = carry->ptr[0] << 8 | carry->ptr[1];
    append(&scan, (edit_t){.len = scan.end});
  }
  find(&scan, window->ptr);
  if (scan.used && scan.end > scan.sure) {
    edit_t *last = &scan.edits[scan.used - 1];
    last->len = scan.sure - last->start;
    if (!last->len) scan.used--;
  }
  *verdict = (verdict_t){.edits = {scan.edits, scan.used}, .consumed = scan.sure};
  if (scan.end > scan.sure) {
    size_t ahead = scan.end - scan.sure;
    verdict->carry = (this_plugin_list_u8_t){malloc(2), 2};
    if (!verdict->carry.ptr) abort();
    verdict->carry.ptr[0] = ahead >> 8;
    verdict->carry.ptr[1] = ahead;
  }
  if (!scan.used) free(scan.edits);
  this_plugin_list_u8_free(window);
  this_plugin_list_u8_free(carry);
  return true;
}

bool exports_sandclock_plugin_lifecycle_validate_config(text_t *err) { return prepare(err); }
