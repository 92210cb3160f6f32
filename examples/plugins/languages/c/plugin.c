// Limits a run to a multiple of the p99 of its job's history.
#include "timeout_plugin.h"
#include <stdlib.h>
#include <string.h>

typedef timeout_plugin_string_t text_t;
typedef exports_sandclock_plugin_timeout_policy_run_info_t run_t;
typedef exports_sandclock_plugin_timeout_policy_history_t history_t;
typedef exports_sandclock_plugin_timeout_policy_option_decision_t answer_t;

// A text that grows; on the heap, since the host frees what it is given.
static void put_n(text_t *to, const void *bytes, size_t len) {
  to->ptr = realloc(to->ptr, to->len + len + 1);
  if (!to->ptr) abort();
  memcpy(to->ptr + to->len, bytes, len);
  to->len += len;
}

static void put(text_t *to, const char *text) { put_n(to, text, strlen(text)); }

static void put_number(text_t *to, uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = '0' + value % 10; while (value /= 10);
  put_n(to, digits + at, sizeof digits - at);
}

// Whether `text` is a whole number from `least` to `most`; if not, `err` says so.
static bool number(const char *what, text_t text, uint32_t least, uint32_t most, uint64_t *value, text_t *err) {
  bool good = text.len >= 1 && text.len <= 10 && (text.len == 1 || text.ptr[0] != '0');
  *value = 0;
  for (size_t i = 0; good && i < text.len; i++) {
    good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
    *value = *value * 10 + (text.ptr[i] - '0');
  }
  if (good && *value >= least && *value <= most) return true;
  put(err, what);
  put(err, ": ");
  put_n(err, text.ptr, text.len);
  put(err, ", has to be a whole number from ");
  put_number(err, least);
  put(err, " to ");
  put_number(err, most);
  return false;
}

static bool setting(const char *what, uint32_t absent, uint32_t least, uint32_t most, uint64_t *value, text_t *err) {
  text_t key, text;
  timeout_plugin_string_set(&key, what + strlen("config."));
  *value = absent;
  if (!sandclock_plugin_config_get(&key, &text)) return true;
  bool good = number(what, text, least, most, value, err);
  timeout_plugin_string_free(&text);
  return good;
}

static bool decide(const run_t *run, const uint32_t *declared, const history_t *past, answer_t *answer, text_t *err) {
  static const char label[] = "timeout-factor";
  uint64_t factor, floor, min_runs;
  if (!setting("config.factor", 3, 1, 100, &factor, err)) return false;
  if (!setting("config.floor_ms", 60000, 1, UINT32_MAX, &floor, err)) return false;
  if (!setting("config.min_runs", 5, 1, 100, &min_runs, err)) return false;
  for (size_t i = 0; i < run->labels.len; i++) {
    text_t key = run->labels.ptr[i].f0, value = run->labels.ptr[i].f1;
    if (key.len != strlen(label) || memcmp(key.ptr, label, key.len)) continue;
    if (!number("label timeout-factor", value, 1, 100, &factor, err)) return false;
  }
  uint32_t successes = past->failures < past->runs ? past->runs - past->failures : 0;
  answer->is_some = successes >= min_runs;
  if (!answer->is_some) return true;

  uint64_t limit = past->p99_ms * factor;
  text_t reason = {NULL, 0};
  put_n(&reason, run->job_name.ptr, run->job_name.len);
  put(&reason, ": ");
  put_number(&reason, factor);
  put(&reason, " times the p99 of ");
  put_number(&reason, successes);
  put(&reason, " runs, ");
  put_number(&reason, past->p99_ms);
  put(&reason, " ms");
  if (past->failures > successes) {
    limit *= 2;
    put(&reason, ", doubled since most runs failed");
  }
  if (limit > UINT32_MAX) limit = UINT32_MAX;
  if (limit < floor) {
    limit = floor;
    put(&reason, ", raised to the floor");
  }
  if (declared && *declared < limit) {
    limit = *declared;
    put(&reason, ", cut at what the job declares");
  }
  put(&reason, ": ");
  put_number(&reason, limit);
  put(&reason, " ms");

  answer->val.limit_ms = (timeout_plugin_option_u32_t){true, limit};
  answer->val.warn_ms = (timeout_plugin_option_u32_t){true, limit - limit / 5};
  answer->val.grace_ms = (timeout_plugin_option_u32_t){limit >= 3600000, 30000};
  answer->val.reason = reason;
  return true;
}

bool exports_sandclock_plugin_timeout_policy_decide(run_t *run, uint32_t *declared, history_t *past, answer_t *answer, text_t *err) {
  *err = (text_t){NULL, 0};
  bool good = decide(run, declared, past, answer, err);
  exports_sandclock_plugin_timeout_policy_run_info_free(run);
  return good;
}
