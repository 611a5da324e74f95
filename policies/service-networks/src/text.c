#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *get(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) __builtin_trap();
    return memory;
}

char *copy(const char *octets, size_t length) {
    char *out = get(length + 1, 1);
    memcpy(out, octets, length);
    return out;
}

void add_octets(text *to, const char *octets, size_t length) {
    if (length == 0) return;
    uint8_t *grown = realloc(to->ptr, to->len + length);
    if (!grown) __builtin_trap();
    memcpy(grown + to->len, octets, length);
    to->ptr = grown;
    to->len += length;
}

void add(text *to, const char *more) {
    add_octets(to, more, strlen(more));
}

void add_number(text *to, size_t number) {
    if (number >= 10) add_number(to, number / 10);
    char digit = (char)('0' + number % 10);
    add_octets(to, &digit, 1);
}

text joined(const char *first, ...) {
    text out = {0};
    va_list rest;
    va_start(rest, first);
    for (const char *part = first; part; part = va_arg(rest, const char *)) add(&out, part);
    va_end(rest);
    return out;
}
