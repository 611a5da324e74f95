/* Service accounts from their own networks only. A stolen password of a service account is of use where the thief is, and that
 * is seldom where the service runs. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings.h"

typedef exports_portcullis_gateway_policy_ruling_t ruling;
typedef exports_portcullis_gateway_policy_effect_t effect;
typedef portcullis_gateway_types_account_t account;

/* A signal of this score makes an incident critical. */
enum { ALARMING = 80, RISK = 30 };

static struct settings settings;

void exports_portcullis_gateway_plugin_describe(exports_portcullis_gateway_plugin_manifest_t *ret) {
    /* What is returned is freed by the bindings, hence copies. */
    ret->name = joined("service-networks", NULL);
    ret->version = joined("0.1.0", NULL);
    ret->summary = joined("Lets service accounts in from their own networks only.", NULL);
    ret->settings_schema = joined(SETTINGS_SCHEMA, NULL);
}

bool exports_portcullis_gateway_plugin_configure(text *json, problems *err) {
    *err = settings_read(json, &settings);
    policy_plugin_string_free(json);
    return err->len == 0;
}

void exports_portcullis_gateway_policy_needs(exports_portcullis_gateway_policy_wishes_t *ret) {
    memset(ret, 0, sizeof *ret);
    ret->operations.ptr = get(1, sizeof *ret->operations.ptr);
    ret->operations.ptr[0] = EXPORTS_PORTCULLIS_GATEWAY_POLICY_OPERATION_KIND_BIND;
    ret->operations.len = 1;
    if (settings.channel) {
        ret->channels.ptr = get(1, sizeof *ret->channels.ptr);
        ret->channels.ptr[0] = joined(settings.channel, NULL);
        ret->channels.len = 1;
    }
}

static bool is_about(const struct entry *entry, const account *who) {
    if (entry->login) {
        return who->login.len == strlen(entry->login) &&
               strncasecmp((const char *)who->login.ptr, entry->login, who->login.len) == 0;
    }
    text group = {(uint8_t *)entry->group, strlen(entry->group)};
    return portcullis_gateway_facts_member_of(&group);
}

/* From where the account may come; NULL where it may from anywhere. */
static const struct networks *networks_of(const account *who) {
    for (size_t index = 0; index < settings.count; index++) {
        if (is_about(&settings.entries[index], who)) return &settings.entries[index].networks;
    }
    bool is_person = who->kind == PORTCULLIS_GATEWAY_TYPES_ACCOUNT_KIND_HUMAN ||
                     who->kind == PORTCULLIS_GATEWAY_TYPES_ACCOUNT_KIND_UNKNOWN;
    return settings.others.list && !is_person ? &settings.others : NULL;
}

static bool is_in(const struct networks *networks, const portcullis_gateway_types_option_endpoint_t *endpoint) {
    if (!endpoint->is_some) return false;
    char *where = copy((const char *)endpoint->val.address.ptr, endpoint->val.address.len);
    struct address address;
    bool found = false;
    if (address_read(where, &address)) {
        for (size_t index = 0; index < networks->count && !found; index++) {
            found = network_holds(&networks->list[index], &address);
        }
    }
    free(where);
    return found;
}

static bool is_alarming(const portcullis_gateway_types_list_signal_t *signals) {
    for (size_t index = 0; index < signals->len; index++) {
        if (signals->ptr[index].score >= ALARMING) return true;
    }
    return false;
}

/* "svc-backup came from 192.0.2.7, which is none of its networks." */
static text complaint(const exports_portcullis_gateway_policy_access_t *access) {
    text out = {0};
    add_octets(&out, (const char *)access->account.val.login.ptr, access->account.val.login.len);
    add(&out, " came from ");
    if (access->endpoint.is_some) {
        const text *address = &access->endpoint.val.address;
        add_octets(&out, (const char *)address->ptr, address->len);
    } else {
        add(&out, "nobody knows where");
    }
    add(&out, ", which is none of its networks.");
    return out;
}

static void refuse(const exports_portcullis_gateway_policy_access_t *access, ruling *ret) {
    ret->verdict.tag = EXPORTS_PORTCULLIS_GATEWAY_POLICY_VERDICT_BLOCK;
    ret->reason = complaint(access);
    effect *effects = get(3, sizeof *effects);
    ret->effects.ptr = effects;
    effects[0].tag = EXPORTS_PORTCULLIS_GATEWAY_POLICY_EFFECT_RAISE_INCIDENT;
    effects[0].val.raise_incident.severity = is_alarming(&access->signals)
                                                 ? EXPORTS_PORTCULLIS_GATEWAY_POLICY_SEVERITY_CRITICAL
                                                 : EXPORTS_PORTCULLIS_GATEWAY_POLICY_SEVERITY_HIGH;
    effects[0].val.raise_incident.title = joined("Service account outside of its networks", NULL);
    effects[1].tag = EXPORTS_PORTCULLIS_GATEWAY_POLICY_EFFECT_ADD_RISK;
    effects[1].val.add_risk = RISK;
    ret->effects.len = 2;
    if (settings.channel) {
        effects[2].tag = EXPORTS_PORTCULLIS_GATEWAY_POLICY_EFFECT_NOTIFY;
        effects[2].val.notify.channel = joined(settings.channel, NULL);
        effects[2].val.notify.text = complaint(access);
        ret->effects.len = 3;
    }
}

void exports_portcullis_gateway_policy_evaluate(exports_portcullis_gateway_policy_access_t *access,
                                                exports_portcullis_gateway_policy_list_evidence_t *evidence,
                                                ruling *ret) {
    memset(ret, 0, sizeof *ret);
    const struct networks *networks = access->account.is_some ? networks_of(&access->account.val) : NULL;
    if (!networks) {
        ret->reason = joined("No network is set for this account.", NULL);
    } else if (is_in(networks, &access->endpoint)) {
        ret->reason = joined("It came from one of its networks.", NULL);
    } else {
        refuse(access, ret);
    }
    /* The arguments are ours, and an instance is asked thousands of times. */
    exports_portcullis_gateway_policy_access_free(access);
    exports_portcullis_gateway_policy_list_evidence_free(evidence);
}
