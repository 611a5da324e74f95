"""What PAM's module for LDAP asks nslcd for, said with the module that nslcd's own tools use.

    nslcd_client.py login USER PASSWORD
    nslcd_client.py passwd USER OLD NEW

Writes the request's name and 0, 49 for a wrong password, `unknown` for an unknown user, or PAM's result.
"""

import sys

sys.path.insert(0, "/usr/share/nslcd-utils")

import constants  # noqa: E402
import nslcd  # noqa: E402

RESULTS = {
    constants.NSLCD_PAM_SUCCESS: "0",
    constants.NSLCD_PAM_AUTH_ERR: "49",
    constants.NSLCD_PAM_PERM_DENIED: "49",
    constants.NSLCD_PAM_USER_UNKNOWN: "unknown",
}


def write_session(connection, user):
    """User, service, and who asks from where, of which PAM would not know anything here either."""
    for text in (user, "lab", "", "", ""):
        connection.write_string(text)


def login(connection, user, password):
    write_session(connection, user)
    connection.write_string(password)


def passwd(connection, user, old, new):
    write_session(connection, user)
    connection.write_int32(0)  # not as root
    connection.write_string(old)
    connection.write_string(new)


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    requests = {
        "login": (constants.NSLCD_ACTION_PAM_AUTHC, login),
        "passwd": (constants.NSLCD_ACTION_PAM_PWMOD, passwd),
    }
    action, write = requests[what]
    connection = nslcd.NslcdClient(action)
    write(connection, *arguments)
    if connection.get_response() != constants.NSLCD_RESULT_BEGIN:
        print(what, "unknown")
        return
    result = connection.read_int32()
    if what == "login":
        connection.read_string()
        connection.read_int32()
    message = connection.read_string()
    print(what, RESULTS.get(result, "PAM %d" % result), message)


main()
