#include "text.h"
#include <stdlib.h>
#include <string.h>

void put_n(text_t *to, const void *bytes, size_t len) {
  to->ptr = realloc(to->ptr, to->len + len + 1);
  if (!to->ptr) abort();
  memcpy(to->ptr + to->len, bytes, len);
  to->len += len;
}

void put(text_t *to, const char *text) { put_n(to, text, strlen(text)); }

void put_number(text_t *to, uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do digits[--at] = '0' + value % 10; while (value /= 10);
  put_n(to, digits + at, sizeof digits - at);
}

static const char HEX[] = "0123456789abcdef";

void put_json(text_t *to, text_t text) {
  put(to, "\"");
  for (size_t i = 0; i < text.len; i++) {
    uint8_t byte = text.ptr[i];
    char escaped[] = {'\\', 'u', '0', '0', HEX[byte >> 4], HEX[byte & 15]};
    if (byte < ' ') put_n(to, escaped, sizeof escaped);
    else if (byte == '"' || byte == '\\') put_n(to, (char[]){'\\', byte}, 2);
    else put_n(to, &byte, 1);
  }
  put(to, "\"");
}

static void put_utf8(text_t *to, uint32_t code) {
  if (code < 0x80) put_n(to, (uint8_t[]){code}, 1);
  else if (code < 0x800) put_n(to, (uint8_t[]){0xc0 | code >> 6, 0x80 | (code & 63)}, 2);
  else if (code < 0x10000) put_n(to, (uint8_t[]){0xe0 | code >> 12, 0x80 | (code >> 6 & 63), 0x80 | (code & 63)}, 3);
  else put_n(to, (uint8_t[]){0xf0 | code >> 18, 0x80 | (code >> 12 & 63), 0x80 | (code >> 6 & 63), 0x80 | (code & 63)}, 4);
}

// The four digits at `at`; none of them is anything else in what the host gives.
static uint32_t unit(const uint8_t *at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) value = value << 4 | (strchr(HEX, at[i] | 32) - HEX);
  return value;
}

const uint8_t *read_json(const uint8_t *at, const uint8_t *end, text_t *to) {
  static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
  if (at == end || *at++ != '"') return NULL;
  for (; at < end && *at != '"'; at++) {
    const char *letter;
    if (*at != '\\') put_n(to, at, 1);
    else if (*++at != 'u') put_n(to, (letter = strchr(letters, *at)) ? &meant[letter - letters] : (const char *)at, 1);
    else {
      uint32_t code = unit(at + 1);
      at += 4;
      // Beyond 16 bits there are two of them.
      if (code >> 10 == 0x36) {
        code = 0x10000 + ((code & 0x3ff) << 10 | (unit(at + 3) & 0x3ff));
        at += 6;
      }
      put_utf8(to, code);
    }
  }
  return at < end ? at + 1 : NULL;
}

text_t setting(const char *key, const char *absent) {
  text_t name, text;
  this_plugin_string_set(&name, key);
  if (!sandclock_plugin_config_get(&name, &text)) this_plugin_string_dup(&text, absent);
  return text;
}
