/* A JSON text and what it is made of. Values are named by the number of their token. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

/* jsmn is one header: `json.c` compiles it, everybody else wants its types. */
#ifndef JSON_IMPLEMENTATION
#define JSMN_HEADER
#endif
#include <jsmn.h>

struct json {
    const char *text;
    jsmntok_t *tokens;
    int count;
};

/* Reads a text; its tokens are freed by `json_free`. */
bool json_read(struct json *json, const char *text, size_t length);
void json_free(struct json *json);

/* The value behind this one, whatever is inside it. */
int json_next(const struct json *json, int token);

/* A string without its escapes; NULL where the value is none, is empty, or has characters that nobody needs in a name. */
char *json_string(const struct json *json, int token);

#endif
