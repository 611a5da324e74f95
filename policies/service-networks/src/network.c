#include "network.h"

#include <arpa/inet.h>
#include <string.h>

bool address_read(const char *text, struct address *out) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memset(out, 0, sizeof *out);
    out->bits = 32;
    if (inet_pton(AF_INET, text, out->octets) == 1) return true;
    out->bits = 128;
    if (inet_pton(AF_INET6, text, out->octets) != 1) return false;
    if (memcmp(out->octets, mapped, sizeof mapped) == 0) {
        memmove(out->octets, out->octets + sizeof mapped, 4);
        memset(out->octets + 4, 0, sizeof mapped);
        out->bits = 32;
    }
    return true;
}

static bool bit(const struct address *address, unsigned index) {
    return address->octets[index / 8] >> (7 - index % 8) & 1;
}

const char *network_read(const char *text, struct network *out) {
    char address[46];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof address) return "is no network; write one like 10.1.0.0/16 or 2001:db8::/32";
    memcpy(address, text, length);
    address[length] = 0;
    if (!address_read(address, &out->address)) return "is no network; write one like 10.1.0.0/16 or 2001:db8::/32";
    if (out->address.bits == 32 && strchr(address, ':')) {
        return "is a network of IPv4 addresses; write it without `::ffff:`, and its prefix less 96";
    }
    out->prefix = out->address.bits;
    if (slash) {
        const char *digit = slash + 1;
        out->prefix = 0;
        do {
            if (*digit < '0' || *digit > '9' || digit - slash > 3) return "has no number behind its `/`";
            out->prefix = out->prefix * 10 + (unsigned)(*digit++ - '0');
        } while (*digit);
        if (out->prefix > out->address.bits) return "has a longer prefix than its addresses have bits";
    }
    for (unsigned index = out->prefix; index < out->address.bits; index++) {
        if (bit(&out->address, index)) return "has bits behind its prefix; write the first address of the network";
    }
    return NULL;
}

bool network_holds(const struct network *network, const struct address *address) {
    if (network->address.bits != address->bits) return false;
    for (unsigned index = 0; index < network->prefix; index++) {
        if (bit(&network->address, index) != bit(address, index)) return false;
    }
    return true;
}
