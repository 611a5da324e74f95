//! A launcher of a real Active Directory domain controller: Samba, as Debian packages it.
//!
//! Only its LDAP service and its Kerberos key distribution centre run, so nothing else can be asked of it: no DNS, no files.
//!
//! Who is in it: the people [`ALICE`], [`BOB`] and [`NAMESAKE`], the service account [`SERVICE`] and the machine [`COMPUTER`], all with
//! the password that [`password`] tells. Bob is in the group `engineers`, which is in `staff`; nobody else is in either.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::net::own_address;
use crate::pki::Pki;
use crate::process::Child;

/// The domain's root.
pub const BASE_DN: &str = "DC=example,DC=test";
/// The domain's DNS name.
pub const DNS_DOMAIN: &str = "example.test";
/// The domain's NetBIOS name.
pub const NETBIOS_DOMAIN: &str = "EXAMPLE";
/// What may stand behind the `@` instead of [`DNS_DOMAIN`].
pub const UPN_SUFFIX: &str = "people.example";
/// A person with a mail address, a department and a title.
pub const ALICE: &str = "alice";
/// A person in nested groups.
pub const BOB: &str = "bob";
/// The account for look-ups. As everybody who is bound, it reads everything but passwords.
pub const SERVICE: &str = "svc-portcullis";
/// A person who has bob's name, but in another place, and not his groups.
pub const NAMESAKE: &str = "bob.guest";
/// The password of the account `Administrator`, which may change everything.
pub const ADMINISTRATOR_PASSWORD: &str = "Administrator-Secret1";
/// A machine that has joined the domain.
pub const COMPUTER: &str = "WS1$";

const SAMBA: &str = "/usr/sbin/samba";
const SAMBA_TOOL: &str = "/usr/bin/samba-tool";
const LDAPADD: &str = "/usr/bin/ldapadd";
/// The schema that a domain is made from; Debian has a package for it alone.
const PROVISION: &str = "/usr/share/samba/setup/ad-schema";
const PACKAGES: &str = "samba samba-ad-provision samba-dsdb-modules samba-vfs-modules ldap-utils";
/// LDAP, LDAPS, Kerberos and its password changes. Samba's configuration has no way to choose others for LDAP.
const PORTS: [u16; 4] = [389, 636, 88, 464];
/// Any password does, also one that was there before or was set a moment ago.
const LAX: &str = "dn: DC=example,DC=test\nchangetype: modify\nreplace: pwdProperties\npwdProperties: 0\n-\n\
                   replace: minPwdLength\nminPwdLength: 0\n-\nreplace: minPwdAge\nminPwdAge: 0\n-\n\
                   replace: pwdHistoryLength\npwdHistoryLength: 0\n-\n\n";
const START: Duration = Duration::from_secs(60);

/// The password of an account. It meets Active Directory's rules for passwords.
#[must_use]
pub fn password(login: &str) -> String {
    format!("Secret-of-{login}-1")
}

/// A running domain controller. Dropping it ends it and removes its folder.
pub struct Samba {
    // Fields are dropped in this order: the process ends before its folder goes.
    child: Child,
    ip: IpAddr,
    pki: Pki,
    folder: TempDir,
}

impl Samba {
    /// Makes a new domain, starts its controller on a loopback address of its own, at the usual ports 389 (plain, with
    /// StartTLS) and 636 (TLS), and creates the accounts. Takes some five seconds, in which the thread sleeps.
    ///
    /// # Errors
    /// When a Debian package is missing, when the ports cannot be bound, which only root can do on most systems, or when
    /// Samba does not start; the error shows what it wrote.
    pub fn start() -> anyhow::Result<Self> {
        let folder = provisioned()?;
        let samba = Self::launched(folder)?;
        samba.populate()?;
        Ok(samba)
    }

    /// As [`Samba::start`], but so many controllers of one domain, which has these entries as well and hardly any rule for
    /// passwords. Each has a copy of the same database, the identifiers that Samba chose included, and knows nothing of the
    /// others.
    ///
    /// # Errors
    /// As [`Samba::start`], and when the domain does not take the entries.
    pub fn start_equal(count: usize, ldif: &str) -> anyhow::Result<Vec<Self>> {
        let mut first = Self::launched(provisioned()?)?;
        first.populate()?;
        let file = first.folder.path().join("more.ldif");
        std::fs::write(&file, format!("{LAX}{ldif}"))?;
        first.change(&file)?;
        first.child.stop(START)?;
        let copies = || -> anyhow::Result<Vec<TempDir>> { (0..count).map(|_| copied(first.folder.path())).collect() };
        std::thread::scope(|scope| {
            let launches: Vec<_> = copies()?.into_iter().map(|folder| scope.spawn(|| Self::launched(folder))).collect();
            let ended = |_| anyhow::anyhow!("a thread that started Samba has panicked");
            launches.into_iter().map(|launch| launch.join().map_err(ended)?).collect()
        })
    }

    /// Starts the controller of the domain in this folder.
    fn launched(folder: TempDir) -> anyhow::Result<Self> {
        let ip = IpAddr::V4(own_address());
        for port in PORTS {
            TcpListener::bind((ip, port)).with_context(|| {
                format!(
                    "Samba listens on port {port} of {ip} and on no other, which this process may not: run it as root"
                )
            })?;
        }
        let pki = Pki::create(folder.path())?;
        std::fs::write(folder.path().join("smb.conf"), config_text(folder.path(), &pki, ip)?)?;
        std::fs::write(folder.path().join("krb5.conf"), kerberos_text(ip))?;
        let child = launch(folder.path(), ip)?;
        Ok(Self { child, ip, pki, folder })
    }

    /// Where it speaks plain LDAP and StartTLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PORTS[0])
    }

    /// The `ldap://` URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("ldap://{}", self.addr())
    }

    /// Where it speaks LDAP over TLS.
    #[must_use]
    pub fn ldaps_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PORTS[1])
    }

    /// The `ldaps://` URI.
    #[must_use]
    pub fn ldaps_uri(&self) -> String {
        format!("ldaps://{}", self.ldaps_addr())
    }

    /// The certificate of the authority that signed the server's certificate, in PEM.
    #[must_use]
    pub fn ca_pem_path(&self) -> &Path {
        self.pki.ca_pem_path()
    }

    /// The Kerberos configuration of a machine in the domain, which finds the key distribution centre without DNS.
    #[must_use]
    pub fn krb5_conf(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    /// The configuration of Samba's own clients.
    #[must_use]
    pub fn smb_conf(&self) -> PathBuf {
        self.folder.path().join("smb.conf")
    }

    /// Lets clients ask for tickets to `ldap/host`, which the domain controller then takes for its own: what an
    /// administrator does for a gateway with a name of its own (`samba-tool spn add`, `setspn`).
    ///
    /// # Errors
    /// When the directory refuses.
    pub fn add_service_name(&self, host: &str) -> anyhow::Result<()> {
        let ldif = self.folder.path().join("service-name.ldif");
        let entry = format!("dn: CN=DC1,OU=Domain Controllers,{BASE_DN}\nchangetype: modify\n");
        std::fs::write(&ldif, format!("{entry}add: servicePrincipalName\nservicePrincipalName: ldap/{host}\n"))?;
        self.change(&ldif)
    }

    /// Adds the accounts as an administrator would, over TLS, because passwords are not taken in clear text.
    fn populate(&self) -> anyhow::Result<()> {
        let ldif = self.folder.path().join("accounts.ldif");
        std::fs::write(&ldif, accounts())?;
        self.change(&ldif)
    }

    fn change(&self, ldif: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(LDAPADD);
        command.env_clear().env("LDAPCONF", "/dev/null").env("LDAPTLS_CACERT", self.ca_pem_path());
        command.args(["-x", "-H", &self.ldaps_uri(), "-D", &format!("Administrator@{DNS_DOMAIN}")]);
        command.args(["-w", ADMINISTRATOR_PASSWORD, "-f"]).arg(ldif);
        finish("ldapadd", command)
    }
}

/// A new domain in a folder of its own.
fn provisioned() -> anyhow::Result<TempDir> {
    for needed in [SAMBA, SAMBA_TOOL, LDAPADD, PROVISION] {
        anyhow::ensure!(
            Path::new(needed).exists(),
            "{needed} is missing: install Samba's domain controller (Debian: apt-get install {PACKAGES})"
        );
    }
    let folder = new_folder()?;
    provision(folder.path())?;
    Ok(folder)
}

fn new_folder() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("portcullis-samba-").tempdir()?)
}

/// The same domain, whose controller does not run, in another folder. Its databases name each other by relative paths.
fn copied(from: &Path) -> anyhow::Result<TempDir> {
    let folder = new_folder()?;
    let mut command = Command::new("cp");
    command.arg("-a").arg(from.join("dc")).arg(folder.path());
    finish("cp", command)?;
    Ok(folder)
}

/// Makes the domain's databases below `dc`.
fn provision(folder: &Path) -> anyhow::Result<()> {
    // An empty configuration, so that this system's own does not matter.
    let seed = folder.join("seed.conf");
    std::fs::write(&seed, "[global]\n")?;
    let mut command = Command::new(SAMBA_TOOL);
    command.args(["domain", "provision", "--server-role=dc", "--dns-backend=NONE", "--host-name=dc1"]);
    command.args(["--host-ip=127.0.0.1", &format!("--adminpass={ADMINISTRATOR_PASSWORD}")]);
    command.arg(format!("--realm={}", DNS_DOMAIN.to_uppercase())).arg(format!("--domain={NETBIOS_DOMAIN}"));
    command.arg(format!("--configfile={}", seed.display()));
    command.arg(format!("--targetdir={}", folder.join("dc").display()));
    finish("samba-tool domain provision", command).with_context(|| {
        format!("the domain cannot be made, perhaps because one of these packages is missing: {PACKAGES}")
    })
}

fn config_text(folder: &Path, pki: &Pki, ip: IpAddr) -> anyhow::Result<String> {
    let certificate = pki.issue("samba", &[&ip.to_string(), &format!("dc1.{DNS_DOMAIN}")])?;
    let dc = folder.join("dc");
    std::fs::create_dir_all(dc.join("run"))?;
    let (dc, realm) = (dc.display(), DNS_DOMAIN.to_uppercase());
    let (ca, key) = (pki.ca_pem_path().display(), certificate.key_path().display());
    let certificate = certificate.cert_path().display();
    Ok(format!(
        r"[global]
binddns dir = {dc}/bind-dns
cache directory = {dc}/cache
lock directory = {dc}
state directory = {dc}/state
private dir = {dc}/private
pid directory = {dc}/run
ncalrpc dir = {dc}/run/ncalrpc
winbindd socket directory = {dc}/run/winbindd
log file = {dc}/log
netbios name = DC1
realm = {realm}
workgroup = {NETBIOS_DOMAIN}
server role = active directory domain controller
server services = ldap kdc
dcerpc endpoint servers =
interfaces = {ip}/8
bind interfaces only = yes
ldap server require strong auth = no
tls enabled = yes
tls cafile = {ca}
tls certfile = {certificate}
tls keyfile = {key}
"
    ))
}

fn kerberos_text(ip: IpAddr) -> String {
    let realm = DNS_DOMAIN.to_uppercase();
    format!(
        "[libdefaults]\ndefault_realm = {realm}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
         dns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n\
         [realms]\n{realm} = {{\n kdc = {ip}:88\n}}\n"
    )
}

/// With the process model "single" all of Samba is one process, so ending that one leaves none behind.
fn launch(folder: &Path, ip: IpAddr) -> anyhow::Result<Child> {
    let mut command = Command::new(SAMBA);
    command.env("KRB5_CONFIG", folder.join("krb5.conf"));
    command.arg("-s").arg(folder.join("smb.conf"));
    command.args(["--foreground", "--model=single", "--debug-stdout"]);
    let mut child = Child::spawn("samba", command)?;
    let end = Instant::now() + START;
    loop {
        let answered = PORTS
            .iter()
            .all(|&port| TcpStream::connect_timeout(&SocketAddr::new(ip, port), Duration::from_secs(1)).is_ok());
        // Asked after the connection: a server that could not bind its port has ended by then or ends below.
        if let Some(status) = child.try_wait()? {
            std::thread::sleep(Duration::from_millis(50));
            anyhow::bail!("samba ended with {status}; it wrote:\n{}", child.output().lines().join("\n"));
        }
        if answered {
            return Ok(child);
        }
        if Instant::now() > end {
            anyhow::bail!("samba did not listen after {START:?}; it wrote:\n{}", child.output().lines().join("\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn finish(name: &str, mut command: Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{name} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Everybody, in LDIF.
fn accounts() -> String {
    let mut text = format!("dn: OU=Guests,{BASE_DN}\nobjectClass: organizationalUnit\n\n");
    let mut account = |dn: &str, login: &str, class: &str, more: &str| {
        // 512 is a normal account, 4096 a machine's (MS-ADTS, section 2.2.16).
        let control = if class == "computer" { 4096 } else { 512 };
        let password = encoded(&password(login));
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "dn: {dn},{BASE_DN}\nobjectClass: {class}\nsAMAccountName: {login}\nuserAccountControl: {control}\n\
             unicodePwd:: {password}\n{more}\n"
        );
    };
    let alice = "displayName: Alice Adams\nuserPrincipalName: alice@example.test\nmail: alice@example.test\n\
                 department: Engineering\ntitle: Engineer\n";
    account("CN=Alice Adams,CN=Users", ALICE, "user", alice);
    account("CN=Bob Brown,CN=Users", BOB, "user", "displayName: Bob Brown\nuserPrincipalName: bob@example.test\n");
    account("CN=Bob Brown,OU=Guests", NAMESAKE, "user", "displayName: Bob Brown\n");
    account("CN=svc-portcullis,CN=Users", SERVICE, "user", "");
    account("CN=WS1,CN=Computers", COMPUTER, "computer", "");
    for (group, member) in [("engineers", "CN=Bob Brown"), ("staff", "CN=engineers")] {
        let _ = write!(
            text,
            "dn: CN={group},CN=Users,{BASE_DN}\nobjectClass: group\nsAMAccountName: {group}\n\
             member: {member},CN=Users,{BASE_DN}\n\n"
        );
    }
    let _ = write!(
        text,
        "dn: CN=Partitions,CN=Configuration,{BASE_DN}\nchangetype: modify\nadd: uPNSuffixes\nuPNSuffixes: {UPN_SUFFIX}\n-\n"
    );
    text
}

/// A password as `unicodePwd` takes it: in quotes, in UTF-16 (MS-ADTS, section 3.1.1.3.1.5), here in Base64 for LDIF.
#[must_use]
pub fn encoded(password: &str) -> String {
    let octets: Vec<u8> = format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    STANDARD.encode(octets)
}
