// Tells a target of a job's first failure, and of its recovery.
#include "text.h"
#include <stdlib.h>
#include <string.h>

typedef exports_sandclock_plugin_run_end_run_info_t run_t;
typedef exports_sandclock_plugin_run_end_end_t end_t;
typedef exports_sandclock_plugin_run_end_delivery_t delivery_t;

// Reads the target; if it is wrong, `err` is what a person reads.
static bool target(text_t *value, text_t *err) {
  text_t text = setting("target", "\"default\"");
  *value = (text_t){NULL, 0};
  bool good = read_json(text.ptr, text.ptr + text.len, value);
  if (!good) {
    put(err, "config.target: invalid type: ");
    put_n(err, text.ptr, text.len);
    put(err, ", expected a string");
  }
  this_plugin_string_free(&text);
  return good;
}

static bool is(text_t text, const char *other) {
  return text.len == strlen(other) && !memcmp(text.ptr, other, text.len);
}

static bool is_failure(text_t state) {
  return is(state, "failed") || is(state, "timed_out") || is(state, "lost") || is(state, "missed");
}

// What has happened; NULL for an end that nobody has to know of.
static const char *transition(const end_t *end) {
  bool before = end->previous_state.is_some && is_failure(end->previous_state.val);
  if (is_failure(end->state)) return before ? NULL : "failure";
  return before && is(end->state, "succeeded") ? "recovery" : NULL;
}

static delivery_t delivery(const run_t *run, const end_t *end, const char *event, text_t to) {
  delivery_t delivery = {.target = to, .dedupe_key.is_some = true};
  text_t *key = &delivery.dedupe_key.val;
  put_n(key, run->job_id.ptr, run->job_id.len);
  put(key, "/");
  put(key, event);
  put(&delivery.content_type, "application/json");

  text_t text = {NULL, 0}, body = {NULL, 0};
  put_n(&text, run->job_name.ptr, run->job_name.len);
  put(&text, " ");
  put_n(&text, end->state.ptr, end->state.len);
  put(&text, ": ");
  put_n(&text, end->cause.ptr, end->cause.len);
  put(&body, "{\"event\":\"");
  put(&body, event);
  put(&body, "\",\"run\":");
  put_json(&body, run->run_id);
  put(&body, ",\"text\":");
  put_json(&body, text);
  put(&body, "}");
  this_plugin_string_free(&text);
  delivery.body = (this_plugin_list_u8_t){body.ptr, body.len};
  return delivery;
}

bool exports_sandclock_plugin_run_end_on_end(run_t *run, end_t *end,
                                             exports_sandclock_plugin_run_end_list_delivery_t *answer, text_t *err) {
  *err = (text_t){NULL, 0};
  answer->ptr = NULL;
  answer->len = 0;
  text_t to;
  bool good = target(&to, err);
  const char *event = transition(end);
  if (good && event) {
    answer->ptr = malloc(sizeof(delivery_t));
    if (!answer->ptr) abort();
    answer->ptr[0] = delivery(run, end, event, to);
    answer->len = 1;
  }
  exports_sandclock_plugin_run_end_run_info_free(run);
  exports_sandclock_plugin_run_end_end_free(end);
  return good;
}

bool exports_sandclock_plugin_lifecycle_validate_config(text_t *err) {
  *err = (text_t){NULL, 0};
  text_t to;
  return target(&to, err);
}
