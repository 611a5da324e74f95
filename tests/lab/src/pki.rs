//! A certification authority that lives as long as a folder, and the server certificates it signs.
//!
//! Every TLS configuration made here names the `ring` provider itself, so nothing depends on which provider a
//! process happens to have installed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A throwaway certification authority whose files stand in one folder.
pub struct Pki {
    folder: PathBuf,
    ca_pem_path: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes a new authority and writes its certificate to `ca.pem` in the given folder, which must exist.
    /// The authority's key stays in memory.
    ///
    /// # Errors
    /// When no key can be made or the file cannot be written.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Portcullis lab CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let ca_pem_path = folder.join("ca.pem");
        std::fs::write(&ca_pem_path, issuer.pem())
            .with_context(|| format!("cannot write {}", ca_pem_path.display()))?;
        Ok(Self { folder: folder.to_owned(), ca_pem_path, issuer })
    }

    /// The authority's certificate in PEM, for clients that are told whom to trust by a file.
    #[must_use]
    pub fn ca_pem_path(&self) -> &Path {
        &self.ca_pem_path
    }

    /// Signs a server certificate for `localhost`, `127.0.0.1`, `::1` and the given host names or addresses, and
    /// writes it to `NAME.pem` and its key to `NAME.key`.
    ///
    /// # Errors
    /// When a host name is malformed or a file cannot be written.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> anyhow::Result<ServerCert> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        names.extend(hosts.iter().map(|&host| host.to_owned()));
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    /// Signs a certificate for a client, `CN=NAME,OU=UNIT` with the alternative name `NAME.example.com`, and writes it to
    /// `NAME.pem` and its key to `NAME.key`.
    ///
    /// # Errors
    /// When the name is malformed or a file cannot be written.
    pub fn issue_client(&self, name: &str, unit: &str) -> anyhow::Result<ServerCert> {
        let mut params = CertificateParams::new([format!("{name}.example.com")])?;
        // From the top down, as certificates have it, without the name that is there by default.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial(name));
        self.sign(name, params)
    }

    /// Writes a revocation list to `crl.pem`, valid for a day, with the clients of these names in it.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn revoke(&self, clients: &[&str]) -> anyhow::Result<PathBuf> {
        let now = std::time::SystemTime::now();
        let revoked = clients.iter().map(|name| RevokedCertParams {
            serial_number: serial(name),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + std::time::Duration::from_secs(86_400)).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.join("crl.pem");
        std::fs::write(&path, list.signed_by(&self.issuer)?.pem()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> anyhow::Result<ServerCert> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let cert_path = self.folder.join(format!("{name}.pem"));
        let key_path = self.folder.join(format!("{name}.key"));
        std::fs::write(&cert_path, certificate.pem()).with_context(|| cert_path.display().to_string())?;
        write_private(&key_path, &key.serialize_pem()).with_context(|| key_path.display().to_string())?;
        Ok(ServerCert { cert_path, key_path, certificate: certificate.der().clone(), key_der: key.serialize_der() })
    }

    /// A client configuration that trusts this authority and nobody else.
    ///
    /// # Errors
    /// When `ring` supports none of the protocol versions, which would be a fault of the build.
    pub fn client_config(&self) -> anyhow::Result<Arc<ClientConfig>> {
        client_config(std::iter::once(self.issuer.der().clone()))
    }
}

/// A certificate and its key, in files and in memory.
pub struct ServerCert {
    cert_path: PathBuf,
    key_path: PathBuf,
    certificate: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl ServerCert {
    /// The certificate in PEM.
    #[must_use]
    pub fn cert_path(&self) -> &Path {
        &self.cert_path
    }

    /// The key in PEM (PKCS #8), readable by its owner only.
    #[must_use]
    pub fn key_path(&self) -> &Path {
        &self.key_path
    }

    /// A server configuration that shows this certificate and offers the given ALPN protocols.
    ///
    /// # Errors
    /// When `ring` does not accept the key, which would be a fault of the build.
    pub fn server_config(&self, alpn: &[&str]) -> anyhow::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// A client configuration that trusts the certificates of a PEM file and nobody else.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn client_config_from_pem(ca_pem: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(ca_pem)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read certificates from {}", ca_pem.display()))?;
    anyhow::ensure!(!certificates.is_empty(), "{} holds no certificate", ca_pem.display());
    client_config(certificates.into_iter())
}

fn client_config(roots: impl Iterator<Item = CertificateDer<'static>>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root)?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Different for every name that tests use.
fn serial(name: &str) -> SerialNumber {
    SerialNumber::from_slice(name.as_bytes())
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
