#include "settings.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

/* clang-format off */
const char SETTINGS_SCHEMA[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"additionalProperties\":false,"
    "\"$defs\":{\"networks\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\","
        "\"description\":\"A network like 10.1.0.0/16 or 2001:db8::/32, or one address.\"}}},"
    "\"properties\":{"
        "\"accounts\":{\"type\":\"array\",\"description\":\"Who may come from where; the first entry that fits counts.\","
            "\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"networks\"],"
            "\"oneOf\":[{\"required\":[\"login\"]},{\"required\":[\"group\"]}],"
            "\"properties\":{"
                "\"login\":{\"type\":\"string\",\"description\":\"Short name of the account.\"},"
                "\"group\":{\"type\":\"string\",\"description\":\"DN or common name of a group that the account is in.\"},"
                "\"networks\":{\"$ref\":\"#/$defs/networks\"}}}},"
        "\"networks\":{\"$ref\":\"#/$defs/networks\","
            "\"description\":\"For every other service account; from anywhere, unless given.\"},"
        "\"channel\":{\"type\":\"string\",\"description\":\"Notification channel that is told of each refusal.\"}}}";
/* clang-format on */

/* A place in the settings, and where to put what is wrong there. */
struct reader {
    struct json json;
    problems found;
};

static void wrong(struct reader *reader, const text *pointer, const char *message) {
    size_t size = (reader->found.len + 1) * sizeof *reader->found.ptr;
    reader->found.ptr = realloc(reader->found.ptr, size);
    if (!reader->found.ptr) __builtin_trap();
    exports_portcullis_gateway_plugin_problem_t *problem = &reader->found.ptr[reader->found.len++];
    memset(problem, 0, sizeof *problem);
    add_octets(&problem->setting, (const char *)pointer->ptr, pointer->len);
    add(&problem->message, message);
}

/* The pointer to something inside (RFC 6901, section 3). */
static text inside(const text *pointer, const char *step, size_t length) {
    text out = {0};
    add_octets(&out, (const char *)pointer->ptr, pointer->len);
    add(&out, "/");
    for (size_t at = 0; at < length; at++) {
        if (step[at] == '~') add(&out, "~0");
        else if (step[at] == '/') add(&out, "~1");
        else add_octets(&out, &step[at], 1);
    }
    return out;
}

static text element(const text *pointer, size_t index) {
    text out = inside(pointer, "", 0);
    add_number(&out, index);
    return out;
}

static char *read_name(struct reader *reader, int token, const text *pointer) {
    char *name = json_string(&reader->json, token);
    if (!name) wrong(reader, pointer, "has to be text, on one line and not empty");
    return name;
}

static struct networks read_networks(struct reader *reader, int token, const text *pointer) {
    const jsmntok_t *list = &reader->json.tokens[token];
    struct networks out = {0};
    if (list->type != JSMN_ARRAY || list->size == 0) {
        wrong(reader, pointer, "has to be a list of networks, with one at least");
        return out;
    }
    out.list = get((size_t)list->size, sizeof *out.list);
    token++;
    for (size_t index = 0; index < (size_t)list->size; index++, token = json_next(&reader->json, token)) {
        text here = element(pointer, index);
        char *network = read_name(reader, token, &here);
        const char *mistake = network ? network_read(network, &out.list[out.count++]) : NULL;
        if (mistake) wrong(reader, &here, mistake);
        free(network);
        policy_plugin_string_free(&here);
    }
    return out;
}

/* Reads the value of one key; false where the key is not known. */
typedef bool (*read_key)(struct reader *, const char *key, int value, const text *pointer, void *into);

static void read_table(struct reader *reader, int token, const text *pointer, read_key read, const char *keys,
                       void *into) {
    const jsmntok_t *table = &reader->json.tokens[token];
    if (table->type != JSMN_OBJECT) {
        wrong(reader, pointer, "has to be a table");
        return;
    }
    token++;
    for (int left = table->size; left > 0; left--) {
        const jsmntok_t *name = &reader->json.tokens[token];
        size_t length = (size_t)(name->end - name->start);
        char *key = copy(reader->json.text + name->start, length);
        text here = inside(pointer, key, length);
        if (!read(reader, key, token + 1, &here, into)) {
            text message = joined("is not known here; there are ", keys, NULL);
            add_octets(&message, "", 1);
            wrong(reader, &here, (const char *)message.ptr);
            policy_plugin_string_free(&message);
        }
        policy_plugin_string_free(&here);
        free(key);
        token = json_next(&reader->json, token + 1);
    }
}

static bool read_entry_key(struct reader *reader, const char *key, int value, const text *pointer, void *into) {
    struct entry *entry = into;
    if (strcmp(key, "login") == 0) entry->login = read_name(reader, value, pointer);
    else if (strcmp(key, "group") == 0) entry->group = read_name(reader, value, pointer);
    else if (strcmp(key, "networks") == 0) entry->networks = read_networks(reader, value, pointer);
    else return false;
    return true;
}

static void read_entry(struct reader *reader, int token, const text *pointer, struct entry *entry) {
    size_t before = reader->found.len;
    read_table(reader, token, pointer, read_entry_key, "`login`, `group` and `networks`", entry);
    /* What is wrong with a value is not told a second time as its absence. */
    if (reader->found.len > before) return;
    if (!entry->login == !entry->group) wrong(reader, pointer, "needs either a `login` or a `group`");
    if (!entry->networks.list) wrong(reader, pointer, "needs `networks`");
}

static void read_entries(struct reader *reader, int token, const text *pointer, struct settings *out) {
    const jsmntok_t *list = &reader->json.tokens[token];
    if (list->type != JSMN_ARRAY) {
        wrong(reader, pointer, "has to be a list of tables");
        return;
    }
    out->entries = get((size_t)list->size, sizeof *out->entries);
    token++;
    for (size_t index = 0; index < (size_t)list->size; index++, token = json_next(&reader->json, token)) {
        text here = element(pointer, index);
        read_entry(reader, token, &here, &out->entries[out->count++]);
        policy_plugin_string_free(&here);
    }
}

static bool read_settings_key(struct reader *reader, const char *key, int value, const text *pointer, void *into) {
    struct settings *out = into;
    if (strcmp(key, "accounts") == 0) read_entries(reader, value, pointer, out);
    else if (strcmp(key, "networks") == 0) out->others = read_networks(reader, value, pointer);
    else if (strcmp(key, "channel") == 0) out->channel = read_name(reader, value, pointer);
    else return false;
    return true;
}

problems settings_read(const text *json, struct settings *out) {
    struct reader reader = {0};
    text whole = {0};
    memset(out, 0, sizeof *out);
    if (!json_read(&reader.json, (const char *)json->ptr, json->len)) {
        wrong(&reader, &whole, "the settings are not JSON");
        return reader.found;
    }
    read_table(&reader, 0, &whole, read_settings_key, "`accounts`, `networks` and `channel`", out);
    if (reader.found.len == 0 && out->count == 0 && !out->others.list) {
        wrong(&reader, &whole, "say who may come from where: `accounts`, `networks` or both");
    }
    json_free(&reader.json);
    return reader.found;
}
