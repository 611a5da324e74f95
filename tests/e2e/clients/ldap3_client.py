"""An application that uses ldap3."""

import os
import ssl
import sys
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPExceptionError, LDAPOperationResult

BASE, DN, OTHER_DN = (os.environ[name] for name in ("LAB_BASE", "LAB_DN", "LAB_OTHER_DN"))


def connect(password):
    uri = urlsplit(os.environ["LAB_URI"])
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=os.environ["LAB_CA"])
    # Reads the root DSE and the schema, as the library does unless told otherwise.
    server = ldap3.Server(uri.hostname, uri.port, use_ssl=uri.scheme == "ldaps", tls=tls, get_info=ldap3.SCHEMA)
    connection = ldap3.Connection(server, DN, password, raise_exceptions=True)
    connection.open()
    if os.environ["LAB_START_TLS"] == "yes":
        connection.start_tls()
    return connection


def attempt(what, action, *arguments, **named):
    """Calls the library and writes how the server answered."""
    try:
        answer = action(*arguments, **named)
    except LDAPOperationResult as error:
        print(what, error.result, error.message)
        return None
    except LDAPExceptionError as error:
        print(what, "none", type(error).__name__)
        return None
    print(what, 0)
    return answer


def login(password):
    connection = connect(password)
    attempt("login", connection.bind)
    return connection


def search_in_pages(connection):
    entries = 0
    found = connection.extend.standard.paged_search(
        BASE, "(uid=*)", attributes=["cn", "mail"], paged_size=50, generator=True
    )
    for entry in found:
        entries += 1
        print(entry["dn"], entry["attributes"]["cn"], entry["attributes"]["mail"])
    print("entries", entries)


def change(connection):
    number = "+1 555 0102"
    replace = {"telephoneNumber": [(ldap3.MODIFY_REPLACE, [number])]}
    attempt("change", connection.modify, DN, replace)
    connection.search(DN, "(objectClass=*)", ldap3.BASE, attributes=["telephoneNumber"])
    print("read", [entry.telephoneNumber.value for entry in connection.entries])
    print("compare", connection.compare(DN, "telephoneNumber", number))
    attempt("change back", connection.modify, DN, {"telephoneNumber": [(ldap3.MODIFY_DELETE, [])]})
    attempt("change other", connection.modify, OTHER_DN, replace)
    attempt("missing", connection.search, "ou=nowhere," + BASE, "(objectClass=*)", ldap3.BASE)


def change_password(connection, old, new):
    action = connection.extend.standard.modify_password
    attempt("change password wrongly", action, DN, "not " + old, new)
    attempt("change password", action, DN, old, new)
    login(old).unbind()
    login(new).unbind()
    attempt("change password back", action, DN, new, old)
    login(old).unbind()


def main():
    password = os.environ["LAB_PASSWORD"]
    connection = login(password)
    if sys.argv[1] == "tour":
        print("whoami", connection.extend.standard.who_am_i())
        print("schema", len(connection.server.schema.attribute_types))
        login("not " + password).unbind()
        # The library's own way to become somebody else and back on one connection.
        attempt("rebind", connection.rebind, DN, "not " + password)
        attempt("rebind", connection.rebind, DN, password)
        search_in_pages(connection)
        change(connection)
        change_password(connection, password, password + " 2, schön")
    connection.unbind()


main()
