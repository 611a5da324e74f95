/* What the administrator wants. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "network.h"
#include "text.h"

typedef exports_portcullis_gateway_plugin_list_problem_t problems;

struct networks {
    struct network *list;
    size_t count;
};

/* Whom it is about, and from where they may come. */
struct entry {
    /* One of the two. */
    char *login, *group;
    struct networks networks;
};

struct settings {
    struct entry *entries;
    size_t count;
    /* For service accounts that no entry is about; none where they may come from anywhere. */
    struct networks others;
    /* May be NULL. */
    char *channel;
};

extern const char SETTINGS_SCHEMA[];

/* Reads the settings to their end, and lists everything that is wrong with them. */
problems settings_read(const text *json, struct settings *out);

#endif
