//! The forms of names that a directory takes in a bind, and what to search for to find whom they name.

use std::fmt::Write as _;

use uuid::Uuid;

use super::Schema;
use super::domains::Domains;
use crate::filter::escape;

/// What to search for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// What this finds.
    Filter(String),
    /// What this finds below this DN, which is the base of look-ups or below it.
    Within(String, String),
    /// Of what this finds, the one whose canonical name it is.
    Canonical(String),
}

/// What to search for, one after the other, for a name that is no DN. For Active Directory the forms that it takes in a
/// simple bind (MS-ADTS, section 5.1.1.1.1), in its order: whoever can choose a display name must not be taken for somebody
/// whom a later form finds. A form that is missing here would be a way around every policy about accounts: the directory
/// lets somebody in who is a stranger here.
pub(super) fn forms(schema: Schema, name: &str, domains: &Domains, base: &str) -> Vec<Form> {
    let name = name.trim();
    if schema == Schema::Rfc2307 {
        let mut filter = "(uid=".to_owned();
        escape(&mut filter, name.as_bytes());
        filter.push(')');
        return vec![Form::Filter(filter)];
    }
    let mut forms = Vec::new();
    let within = |domain: &str, login: &str| {
        domains.within(domain, base).map(|base| Form::Within(base.to_owned(), user("sAMAccountName", login)))
    };
    let qualified = name.rsplit_once('\\');
    let principal = name.rsplit_once('@');
    if let Some((domain, login)) = qualified {
        forms.extend(within(domain, login));
    } else if let Some((login, suffix)) = principal {
        forms.push(Form::Filter(user("userPrincipalName", name)));
        let implicit = domains.is_suffix(suffix).then(|| Form::Filter(user("sAMAccountName", login)));
        forms.extend(implicit.or_else(|| within(suffix, login)));
    }
    if let Some(leaf) = canonical_leaf(name) {
        forms.push(Form::Canonical(user("name", &leaf)));
    }
    if qualified.is_some() {
        return forms;
    }
    if let Ok(guid) = Uuid::parse_str(name) {
        forms.push(Form::Filter(by_guid(guid)));
    }
    forms.push(Form::Filter(user("displayName", name)));
    if name.contains('/') {
        forms.push(Form::Filter(user("servicePrincipalName", name)));
    }
    if name.starts_with("S-1-") {
        forms.push(Form::Filter(user("objectSid", name)));
        forms.push(Form::Filter(user("sIDHistory", name)));
    }
    if principal.is_none() {
        // Nobody can bind by a login alone; but who tried to is worth knowing.
        forms.push(Form::Filter(user("sAMAccountName", name)));
    }
    forms
}

fn user(attribute: &str, value: &str) -> String {
    let mut filter = format!("(&(objectClass=user)({attribute}=");
    escape(&mut filter, value.as_bytes());
    filter.push_str("))");
    filter
}

fn by_guid(guid: Uuid) -> String {
    let mut filter = "(&(objectClass=user)(objectGUID=".to_owned();
    for octet in guid.to_bytes_le() {
        // Writing to a String cannot fail.
        let _ = write!(filter, "\\{octet:02x}");
    }
    filter.push_str("))");
    filter
}

/// The last part of a canonical name (MS-ADTS, section 3.1.1.4.5.7), with its escaped slashes and backslashes undone. None
/// for a name that is not of this form.
fn canonical_leaf(name: &str) -> Option<String> {
    let (mut escaped, mut leaf) = (false, None);
    for letter in name.trim().chars() {
        match (&mut leaf, letter) {
            (_, '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (_, '/' | '\n') if !escaped => leaf = Some(String::new()),
            (Some(leaf), letter) => leaf.push(letter),
            (None, _) => {}
        }
        escaped = false;
    }
    leaf.filter(|leaf| !leaf.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::domains::tests::forest;
    use super::*;

    const BASE: &str = "DC=corp,DC=example";

    /// What is searched for, in the directory of the domain CORP.
    fn searches(schema: Schema, name: &str) -> Vec<String> {
        let text = |form| match form {
            Form::Filter(filter) => filter,
            Form::Within(base, filter) => format!("{base} {filter}"),
            Form::Canonical(filter) => format!("canonical {filter}"),
        };
        forms(schema, name, &forest(), BASE).into_iter().map(text).collect()
    }

    /// The attributes, and where they are searched, of a name in Active Directory.
    fn in_order(name: &str) -> Vec<String> {
        let short = |search: String| search.replace("(&(objectClass=user)(", "").replace("))", "");
        searches(Schema::ActiveDirectory, name).into_iter().map(short).collect()
    }

    #[test]
    fn names_cannot_break_out_of_their_filter() {
        assert_eq!(searches(Schema::Rfc2307, "a)(uid=*"), ["(uid=a\\29\\28uid=\\2a)"]);
        let qualified = searches(Schema::ActiveDirectory, "CORP\\a*");
        assert_eq!(qualified, ["DC=corp,DC=example (&(objectClass=user)(sAMAccountName=a\\2a))"]);
        let canonical = searches(Schema::ActiveDirectory, "corp.example/People/a*");
        assert!(canonical.contains(&"canonical (&(objectClass=user)(name=a\\2a))".to_owned()), "{canonical:?}");
    }

    #[test]
    fn the_last_part_of_a_canonical_name_is_told() {
        let leaf = |name| canonical_leaf(name);
        assert_eq!(leaf("corp.example/People/Alice Adams").as_deref(), Some("Alice Adams"));
        assert_eq!(leaf("corp.example/People\nAlice").as_deref(), Some("Alice"));
        assert_eq!(leaf("corp.example/People/A\\/B\\\\C").as_deref(), Some("A/B\\C"));
        for other in ["", "alice", "CORP\\alice", "alice@corp.example", "CORP\\/alice", "corp.example/"] {
            assert_eq!(leaf(other), None, "{other}");
        }
    }

    #[test]
    fn active_directory_s_forms_are_tried_in_its_order() {
        let here = |search: &str| format!("{BASE} {search}");
        let explicit = "userPrincipalName=a@corp.example";
        assert_eq!(in_order("a@corp.example"), [explicit, &here("sAMAccountName=a"), "displayName=a@corp.example"]);
        assert_eq!(in_order("Alice"), ["displayName=Alice", "sAMAccountName=Alice"]);
        let canonical = in_order("corp.example/People/Alice");
        assert_eq!(canonical[..2], ["canonical name=Alice", "displayName=corp.example/People/Alice"]);
        assert_eq!(
            canonical[2..],
            ["servicePrincipalName=corp.example/People/Alice", "sAMAccountName=corp.example/People/Alice"]
        );
        assert_eq!(in_order("corp.example/A\\/B/Alice"), ["canonical name=Alice"]);
        let guid = in_order("00112233-4455-6677-8899-aabbccddeeff");
        assert!(guid[0].starts_with("objectGUID=\\33\\22\\11\\00\\55\\44\\77\\66\\88"), "{guid:?}");
        assert_eq!(
            in_order("S-1-5-21-1")[..3],
            ["displayName=S-1-5-21-1", "objectSid=S-1-5-21-1", "sIDHistory=S-1-5-21-1"]
        );
    }

    #[test]
    fn a_login_is_looked_for_only_in_the_domain_that_it_is_said_to_be_of() {
        assert_eq!(in_order("corp\\alice"), [format!("{BASE} sAMAccountName=alice")]);
        assert_eq!(in_order("LAB\\alice"), ["DC=lab,DC=corp,DC=example sAMAccountName=alice"]);
        for foreign in ["OTHER\\alice", "\\alice", "OTHER\\CORP\\alice", "NT AUTHORITY\\alice"] {
            assert!(in_order(foreign).is_empty(), "{foreign}");
        }
        assert_eq!(
            in_order("alice@other.example"),
            ["userPrincipalName=alice@other.example", "displayName=alice@other.example"]
        );
        assert_eq!(in_order("alice@people.example")[1], "sAMAccountName=alice");
        assert_eq!(in_order("alice@lab.corp.example")[1], "DC=lab,DC=corp,DC=example sAMAccountName=alice");
        assert_eq!(in_order("alice@corp.example@other.example").len(), 2);
    }
}
