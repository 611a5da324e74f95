"""An application that uses python-ldap."""

import os
import sys

import ldap
from ldap.controls import SimplePagedResultsControl

BASE, DN, OTHER_DN = (os.environ[name] for name in ("LAB_BASE", "LAB_DN", "LAB_OTHER_DN"))


def connect():
    connection = ldap.initialize(os.environ["LAB_URI"])
    connection.set_option(ldap.OPT_X_TLS_CACERTFILE, os.environ["LAB_CA"])
    connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    if os.environ["LAB_START_TLS"] == "yes":
        connection.start_tls_s()
    return connection


def attempt(what, action, *arguments):
    """Calls the library and writes how the server answered."""
    try:
        answer = action(*arguments)
    except ldap.LDAPError as error:
        details = error.args[0]
        print(what, details.get("result", "none"), details.get("info", details.get("desc", "")))
        return None
    print(what, 0)
    return answer


def login(password):
    connection = connect()
    attempt("login", connection.simple_bind_s, DN, password)
    return connection


def search_in_pages(connection):
    control = SimplePagedResultsControl(True, size=50, cookie="")
    pages, entries = 0, 0
    while True:
        request = connection.search_ext(
            BASE, ldap.SCOPE_SUBTREE, "(uid=*)", ["cn", "mail"], serverctrls=[control]
        )
        _, found, _, controls = connection.result3(request)
        pages += 1
        entries += len(found)
        for name, attributes in found:
            print(name, attributes["cn"][0].decode(), attributes["mail"][0].decode())
        (answer,) = [c for c in controls if c.controlType == SimplePagedResultsControl.controlType]
        if not answer.cookie:
            break
        control.cookie = answer.cookie
    print("pages", pages, "entries", entries)


def change(connection):
    number = b"+1 555 0101"
    attempt("change", connection.modify_s, DN, [(ldap.MOD_REPLACE, "telephoneNumber", [number])])
    print("read", connection.search_s(DN, ldap.SCOPE_BASE, attrlist=["telephoneNumber"]))
    print("compare", connection.compare_s(DN, "telephoneNumber", number))
    attempt("change back", connection.modify_s, DN, [(ldap.MOD_DELETE, "telephoneNumber", None)])
    attempt("change other", connection.modify_s, OTHER_DN, [(ldap.MOD_REPLACE, "telephoneNumber", [number])])
    attempt("missing", connection.search_s, "ou=nowhere," + BASE, ldap.SCOPE_BASE)


def change_password(connection, old, new):
    attempt("change password wrongly", connection.passwd_s, DN, "not " + old, new)
    attempt("change password", connection.passwd_s, DN, old, new)
    login(old).unbind_s()
    login(new).unbind_s()
    attempt("change password back", connection.passwd_s, DN, new, old)
    login(old).unbind_s()


def main():
    password = os.environ["LAB_PASSWORD"]
    connection = login(password)
    if sys.argv[1] == "tour":
        print("whoami", connection.whoami_s())
        login("not " + password).unbind_s()
        search_in_pages(connection)
        change(connection)
        change_password(connection, password, password + " 2, schön")
    connection.unbind_s()


main()
