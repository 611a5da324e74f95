//! LDAP listeners, sessions, upstream connections and directory look-ups.
