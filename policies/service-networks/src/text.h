/* Texts that grow, as the contract passes them. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

#include "policy_plugin.h"

typedef policy_plugin_string_t text;

/* Memory, set to zero. A plugin without memory left has nothing to say: it traps, and the policy's fail mode decides. */
void *get(size_t count, size_t size);

/* A copy of the octets with a NUL behind them. */
char *copy(const char *octets, size_t length);

/* Appends to a text that is empty (all zero) or was made here. */
void add(text *to, const char *more);
void add_octets(text *to, const char *octets, size_t length);
void add_number(text *to, size_t number);

/* One text of several, the last of which is followed by NULL. */
text joined(const char *first, ...);

#endif
