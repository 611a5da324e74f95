//! The directory behind all of them: Debian's slapd with a database made for the occasion.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

const SLAPADD: &str = "/usr/sbin/slapadd";
const SLAPPASSWD: &str = "/usr/sbin/slappasswd";
/// slapd's program.
pub(super) const SLAPD: &str = "/usr/sbin/slapd";
/// Where everything is.
pub(super) const BASE: &str = "dc=example,dc=com";
/// Where the people are, all right below.
pub(super) const PEOPLE: &str = "ou=people,dc=example,dc=com";
/// As what the load's persistent connections are bound.
pub(super) const APPLICATION: &str = "cn=app,ou=services,dc=example,dc=com";
/// As what the gateway looks accounts up.
pub(super) const GATEWAY: &str = "cn=portcullis,ou=services,dc=example,dc=com";
/// As what lloadd binds; it may act for anybody (RFC 4370).
pub(super) const BALANCER: &str = "cn=balancer,ou=services,dc=example,dc=com";
/// The password of the three.
pub(super) const SERVICE_PASSWORD: &str = "service-secret";

/// How many passwords there are. Each is hashed by a process of its own, which is why not everybody has one.
const PASSWORDS: u32 = 16;

/// The name of a person, as the directory writes it.
pub(super) fn name(person: u32) -> String {
    format!("uid=u{person:06},{PEOPLE}")
}

/// The password of a person.
pub(super) fn password(person: u32) -> String {
    format!("password-{}", person % PASSWORDS)
}

/// Makes configuration and database in the folder.
///
/// # Errors
/// slapd is not installed, or refuses what it is given.
pub(super) fn load(folder: &Path, people: u32, certificate: &str) -> anyhow::Result<()> {
    for program in [SLAPD, SLAPADD, SLAPPASSWD] {
        ensure!(Path::new(program).exists(), "{program} is missing (Debian and Ubuntu: apt-get install slapd)");
    }
    std::fs::create_dir(folder.join("db"))?;
    let (config, ldif) = (folder.join("slapd.conf"), folder.join("people.ldif"));
    std::fs::write(&config, configuration(folder, certificate))?;
    let hashes = (0..PASSWORDS).map(|number| hash(&password(number))).collect::<anyhow::Result<Vec<_>>>()?;
    std::fs::write(&ldif, entries(people, &hashes, &hash(SERVICE_PASSWORD)?))?;
    run(Command::new(SLAPADD).arg("-q").arg("-f").arg(config).arg("-l").arg(ldif)).map(drop)
}

/// The command that serves it at two addresses, the second with TLS.
pub(super) fn command(folder: &Path, plain: SocketAddr, tls: SocketAddr) -> Command {
    let mut command = Command::new(SLAPD);
    command.args(["-d", "0", "-h", &format!("ldap://{plain} ldaps://{tls}"), "-f"]).arg(folder.join("slapd.conf"));
    command
}

/// Lines that every slapd and lloadd of the comparison begins with.
pub(super) fn preamble(module: &str) -> String {
    format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload {module}\n\
         loglevel 0\nsizelimit unlimited\n"
    )
}

fn configuration(folder: &Path, certificate: &str) -> String {
    let folder = folder.display();
    format!(
        r#"{preamble}{certificate}authz-policy to
database mdb
suffix "{BASE}"
directory "{folder}/db"
maxsize 4294967296
dbnosync
index objectClass,uid,cn,mail,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"#,
        preamble = preamble("back_mdb"),
    )
}

fn hash(password: &str) -> anyhow::Result<String> {
    run(Command::new(SLAPPASSWD).args(["-h", "{SSHA}", "-s", password])).map(|hash| hash.trim().to_owned())
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} ended with {}: {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn entries(people: u32, hashes: &[String], service_hash: &str) -> String {
    let mut ldif = format!(
        "dn: {BASE}\nobjectClass: organization\nobjectClass: dcObject\no: Example\ndc: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: ou=services,{BASE}\nobjectClass: organizationalUnit\nou: services\n\n"
    );
    for service in [APPLICATION, GATEWAY, BALANCER] {
        let right = if service == BALANCER { format!("authzTo: dn.subtree:{BASE}\n") } else { String::new() };
        // Writing into a String cannot fail, here and below.
        let _ = write!(
            ldif,
            "dn: {service}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
             userPassword: {service_hash}\n{right}\n"
        );
    }
    for (person, hash) in (0..people).zip(hashes.iter().cycle()) {
        let _ = write!(
            ldif,
            "dn: {name}\nobjectClass: inetOrgPerson\ncn: Person {person}\nsn: Number {person}\ngivenName: Person\n\
             displayName: Person number {person}\nmail: person.{person}@example.com\nemployeeNumber: {person}\n\
             employeeType: staff\ntitle: Keeper of shelf {shelf}\ndepartmentNumber: {department}\n\
             telephoneNumber: +49 30 {person:07}\nmobile: +49 171 {person:07}\nl: Berlin\n\
             street: Long Street {shelf}\npostalCode: {post}\nroomNumber: {shelf}\nuserPassword: {hash}\n\n",
            name = name(person),
            shelf = person % 211,
            department = person % 37,
            post = 10_115 + person % 997,
        );
    }
    ldif
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_name_and_the_hash_of_the_password() {
        let hashes: Vec<_> = (0..PASSWORDS).map(|number| format!("hash-of-{}", password(number))).collect();
        let ldif = entries(20, &hashes, "service-hash");
        for person in 0..20 {
            let entry = ldif.split("\n\n").find(|entry| entry.starts_with(&format!("dn: {}\n", name(person)))).unwrap();
            assert!(entry.ends_with(&format!("hash-of-{}", password(person))), "{entry}");
        }
        assert_eq!(ldif.matches("authzTo").count(), 1, "one account may act for others");
        assert_eq!(ldif.matches("dn: ").count(), 26);
    }
}
