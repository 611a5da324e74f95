#define JSON_IMPLEMENTATION
#define JSMN_STRICT
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

bool json_read(struct json *json, const char *text, size_t length) {
    jsmn_parser parser;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, text, length, NULL, 0);
    if (count < 1) return false;
    json->text = text;
    json->count = count;
    json->tokens = get((size_t)count, sizeof *json->tokens);
    jsmn_init(&parser);
    return jsmn_parse(&parser, text, length, json->tokens, (unsigned)count) == count;
}

void json_free(struct json *json) {
    free(json->tokens);
    memset(json, 0, sizeof *json);
}

int json_next(const struct json *json, int token) {
    int end = json->tokens[token].end;
    do token++;
    while (token < json->count && json->tokens[token].start < end);
    return token;
}

/* Four hexadecimal digits; jsmn has made sure that they are there. */
static unsigned code_unit(const char *digits) {
    unsigned unit = 0;
    for (int index = 0; index < 4; index++) {
        char digit = digits[index];
        unit = unit * 16 + (unsigned)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return unit;
}

char *json_string(const struct json *json, int token) {
    const jsmntok_t *value = &json->tokens[token];
    if (value->type != JSMN_STRING || value->start == value->end) return NULL;
    static const char escapes[] = "\"\\/";
    char *out = get((size_t)(value->end - value->start) + 1, 1), *to = out;
    for (const char *at = json->text + value->start, *end = json->text + value->end; at < end; at++) {
        unsigned character = (unsigned char)*at;
        if (character == '\\') {
            at++;
            character = (unsigned char)*at;
            if (character == 'u') {
                character = code_unit(at + 1);
                at += 4;
            } else if (!strchr(escapes, *at)) {
                character = 0; /* line feeds and the like */
            }
            /* The gateway writes everything above ASCII as it is. */
            if (character < ' ' || character > '~') {
                free(out);
                return NULL;
            }
        }
        *to++ = (char)character;
    }
    return out;
}
