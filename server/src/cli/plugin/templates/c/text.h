// Texts that grow, and the JSON of texts.
#pragma once

#include "this_plugin.h"

// On the heap: what a plugin returns is freed when the host has read it.
typedef this_plugin_string_t text_t;

void put_n(text_t *to, const void *bytes, size_t len);
void put(text_t *to, const char *text);
void put_number(text_t *to, uint64_t value);

// Appends `text` as JSON, with its quotes.
void put_json(text_t *to, text_t text);

// Reads the JSON text of a string, of which `at` is the first byte, appends the string to `to` and says what is behind it; NULL if it
// is no string.
const uint8_t *read_json(const uint8_t *at, const uint8_t *end, text_t *to);

// The JSON text of a member of the configuration, or else `absent`.
text_t setting(const char *key, const char *absent);
