/* IPv4 and IPv6 addresses, and networks of them. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>
#include <stdint.h>

struct address {
    uint8_t octets[16];
    /* 32 or 128. */
    unsigned bits;
};

struct network {
    struct address address;
    unsigned prefix;
};

/* Reads an address. One of IPv4 in the notation of IPv6 (RFC 4291, section 2.5.5.2) is one of IPv4. */
bool address_read(const char *text, struct address *out);

/* Reads `ADDRESS/PREFIX`, or an address alone. Returns what is wrong with it, or NULL. */
const char *network_read(const char *text, struct network *out);

bool network_holds(const struct network *network, const struct address *address);

#endif
