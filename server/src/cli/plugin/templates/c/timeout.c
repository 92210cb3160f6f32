// Limits each run by what the job took before.
#include "text.h"
#include <stdlib.h>

// Runs below which history says nothing.
#define ENOUGH_RUNS 20

// Reads the factor; if it is wrong, `err` is what a person reads.
static bool factor(uint64_t *value, text_t *err) {
  text_t text = setting("factor", "3");
  bool good = text.len >= 1 && text.len <= 3;
  *value = 0;
  for (size_t i = 0; good && i < text.len; i++) {
    good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
    *value = *value * 10 + (text.ptr[i] - '0');
  }
  good = good && *value >= 1 && *value <= 100;
  if (!good) {
    put(err, "config.factor: ");
    put_n(err, text.ptr, text.len);
    put(err, ", has to be 1 to 100");
  }
  this_plugin_string_free(&text);
  return good;
}

bool exports_sandclock_plugin_timeout_policy_decide(
    exports_sandclock_plugin_timeout_policy_run_info_t *run, uint32_t *declared_ms,
    exports_sandclock_plugin_timeout_policy_history_t *past,
    exports_sandclock_plugin_timeout_policy_option_decision_t *answer, text_t *err) {
  exports_sandclock_plugin_timeout_policy_run_info_free(run);
  *err = (text_t){NULL, 0};
  answer->is_some = past->runs >= ENOUGH_RUNS;
  if (!answer->is_some) return true; // keep what the job declares
  uint64_t times;
  if (!factor(&times, err)) return false;

  uint64_t limit = past->p99_ms * times;
  uint32_t most = declared_ms ? *declared_ms : UINT32_MAX;
  text_t reason = {NULL, 0};
  put_number(&reason, times);
  put(&reason, " times the p99 of ");
  put_number(&reason, past->p99_ms);
  put(&reason, " ms");
  answer->val = (exports_sandclock_plugin_timeout_policy_decision_t){
      .limit_ms = {true, limit < most ? limit : most},
      .reason = reason,
  };
  return true;
}

bool exports_sandclock_plugin_lifecycle_validate_config(text_t *err) {
  *err = (text_t){NULL, 0};
  uint64_t times;
  return factor(&times, err);
}
