//! The certificate of the served simulator: an own CA and a leaf for localhost, made once and kept in a folder.
//!
//! Python 3.13 and Go are strict: the CA needs basicConstraints and keyUsage keyCertSign, the leaf an
//! authorityKeyIdentifier and its names as subject alternative names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::SandboxError;
use crate::state::files;

fn wrong(what: impl std::fmt::Display) -> SandboxError {
    SandboxError::Tls(what.to_string())
}

/// The server configuration, and the CA file clients must trust.
pub(crate) fn configuration(folder: &Path) -> Result<(Arc<ServerConfig>, PathBuf), SandboxError> {
    let (ca, chain, key) =
        (folder.join("ca.pem"), folder.join("server.pem"), folder.join("server.key"));
    if !(ca.exists() && chain.exists() && key.exists()) {
        make(&ca, &chain, &key)?;
    }
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&chain)
        .map_err(wrong)?
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(wrong)?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(wrong)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), ca))
}

fn make(ca: &Path, chain: &Path, key: &Path) -> Result<(), SandboxError> {
    let ca_key = KeyPair::generate().map_err(wrong)?;
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, "amlplan sandbox CA");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let root_certificate = root.self_signed(&ca_key).map_err(wrong)?;
    let issuer = Issuer::new(root, ca_key);

    let leaf_key = KeyPair::generate().map_err(wrong)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).map_err(wrong)?;
    leaf.distinguished_name.push(DnType::CommonName, "amlplan sandbox");
    leaf.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    leaf.subject_alt_names.push(SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()));
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer).map_err(wrong)?;

    files::replace(key, leaf_key.serialize_pem().as_bytes()).map_err(wrong)?;
    let chain_text = format!("{}{}", leaf_certificate.pem(), root_certificate.pem());
    files::replace(chain, chain_text.as_bytes()).map_err(wrong)?;
    files::replace(ca, root_certificate.pem().as_bytes()).map_err(wrong)
}
