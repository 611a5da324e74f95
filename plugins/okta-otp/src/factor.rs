//! The factors that a code comes from (Okta API: User Factors). Fields that are not known, and factors that look strange, are
//! passed over: Okta adds to both at any time.

use okta::person::text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// More factors than these are not offered.
const MOST: usize = 12;

/// Where a code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Okta Verify shows it.
    OktaVerify,
    /// Google Authenticator, or what works like it, shows it.
    GoogleAuthenticator,
    /// Okta sends a text message.
    Sms,
    /// Okta calls and reads it out.
    Call,
    /// Okta sends a mail.
    Email,
}

impl Kind {
    /// All, by their names in the settings, in the order in which they are tried where the settings name none: first those
    /// that cost nothing and reach nobody, then those that are hardest to divert.
    pub const ALL: [(&str, Self); 5] = [
        ("okta-verify", Self::OktaVerify),
        ("google-authenticator", Self::GoogleAuthenticator),
        ("sms", Self::Sms),
        ("call", Self::Call),
        ("email", Self::Email),
    ];

    fn of(factor: &Value) -> Option<Self> {
        match (text(factor, "/factorType")?, text(factor, "/provider")) {
            ("token:software:totp", Some("OKTA")) => Some(Self::OktaVerify),
            ("token:software:totp", Some("GOOGLE")) => Some(Self::GoogleAuthenticator),
            ("sms", _) => Some(Self::Sms),
            ("call", _) => Some(Self::Call),
            ("email", _) => Some(Self::Email),
            _ => None,
        }
    }

    /// Whether Okta has to be asked for a code.
    pub(crate) fn is_sent(self) -> bool {
        self.resend_window_ms().is_some()
    }

    /// Milliseconds in which Okta sends one code and no other (Okta API: User Factors, resend; error codes E0000109, E0000133
    /// and E0000118). None where nothing is sent.
    pub(crate) fn resend_window_ms(self) -> Option<u64> {
        match self {
            Self::OktaVerify | Self::GoogleAuthenticator => None,
            Self::Sms | Self::Call => Some(30_000),
            Self::Email => Some(5_000),
        }
    }
}

/// A factor that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Factor {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// Where codes are asked for and tried.
    pub(crate) verify: String,
    /// Where codes are sent, masked; none where nothing is sent, or Okta does not tell.
    masked: Option<String>,
}

impl Factor {
    /// Those of these kinds that can be used: by kind in this order, and as Okta lists them.
    pub(crate) fn usable(listed: &[Value], kinds: &[Kind]) -> Vec<Self> {
        let found: Vec<Self> = listed.iter().filter_map(Self::read).collect();
        let of_kind = |kind: &Kind| found.iter().filter(|factor| factor.kind == *kind).cloned().collect::<Vec<_>>();
        kinds.iter().flat_map(of_kind).take(MOST).collect()
    }

    /// Only an active factor with a link to verify it can be used.
    fn read(factor: &Value) -> Option<Self> {
        if text(factor, "/status") != Some("ACTIVE") {
            return None;
        }
        let kind = Kind::of(factor)?;
        let id =
            text(factor, "/id").filter(|id| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
        let masked = match kind {
            Kind::OktaVerify | Kind::GoogleAuthenticator => None,
            Kind::Sms | Kind::Call => text(factor, "/profile/phoneNumber").and_then(masked_number),
            Kind::Email => text(factor, "/profile/email").and_then(masked_mail),
        };
        Some(Self { id: id.to_owned(), kind, verify: text(factor, "/_links/verify/href")?.to_owned(), masked })
    }

    /// What the person picks it by.
    pub(crate) fn label(&self) -> String {
        let to = |what: &str, place: &str| match &self.masked {
            Some(masked) => format!("{what} to {masked}"),
            None => format!("{what} to {place}"),
        };
        match self.kind {
            Kind::OktaVerify => "Code from Okta Verify".to_owned(),
            Kind::GoogleAuthenticator => "Code from Google Authenticator".to_owned(),
            Kind::Sms => to("Text message", "your phone"),
            Kind::Call => to("Phone call", "your phone"),
            Kind::Email => to("Mail", "your mailbox"),
        }
    }

    /// Where the person finds the code.
    pub(crate) fn hint(&self, digits: usize) -> String {
        let place = |place: &str| self.masked.clone().unwrap_or_else(|| place.to_owned());
        match self.kind {
            Kind::OktaVerify => {
                format!("Open Okta Verify on your phone and type the {digits}-digit code that it shows.")
            }
            Kind::GoogleAuthenticator => {
                format!("Open Google Authenticator on your phone and type the {digits}-digit code that it shows.")
            }
            Kind::Sms => format!("Type the {digits}-digit code from the text message to {}.", place("your phone")),
            Kind::Call => format!("Type the {digits}-digit code from the call to {}.", place("your phone")),
            Kind::Email => format!("Type the {digits}-digit code from the mail to {}.", place("your mailbox")),
        }
    }
}

/// The last two digits. Okta's own examples write numbers with and without hyphens.
fn masked_number(number: &str) -> Option<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let last = digits.get(digits.len().checked_sub(2)?..).filter(|_| digits.len() > 4)?;
    Some(format!("the number ending in {last}"))
}

/// The first letter and the domain.
fn masked_mail(mail: &str) -> Option<String> {
    let (local, domain) = mail.rsplit_once('@')?;
    let first = local.chars().next()?;
    Some(format!("{first}•••@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_masked() {
        for (number, masked) in [
            ("+33612345678", Some("the number ending in 78")),
            ("+1-555-415-1337", Some("the number ending in 37")),
            ("1234", None),
            ("", None),
            ("+", None),
            ("ÄÖÜ12", None),
        ] {
            assert_eq!(masked_number(number).as_deref(), masked, "{number}");
        }
        for (mail, masked) in [
            ("mona.reyes@acme.example", Some("m•••@acme.example")),
            ("é@acme.example", Some("é•••@acme.example")),
            ("@acme.example", None),
            ("mona", None),
        ] {
            assert_eq!(masked_mail(mail).as_deref(), masked, "{mail}");
        }
    }

    #[test]
    fn what_a_code_can_come_from_is_told_by_type_and_provider_and_not_by_the_id() {
        let factor = |kind: &str, provider: &str| {
            serde_json::json!({"id": "opf1", "factorType": kind, "provider": provider, "status": "ACTIVE",
                "_links": {"verify": {"href": "https://acme.okta.com/v"}}})
        };
        for (kind, provider, expected) in [
            ("token:software:totp", "OKTA", Some(Kind::OktaVerify)),
            ("token:software:totp", "GOOGLE", Some(Kind::GoogleAuthenticator)),
            ("token:software:totp", "SYMANTEC", None),
            ("sms", "OKTA", Some(Kind::Sms)),
            ("call", "OKTA", Some(Kind::Call)),
            ("email", "OKTA", Some(Kind::Email)),
            ("push", "OKTA", None),
            ("question", "OKTA", None),
            ("token:hardware", "YUBICO", None),
            ("signed_nonce", "OKTA", None),
            ("something-new", "OKTA", None),
        ] {
            assert_eq!(Factor::read(&factor(kind, provider)).map(|factor| factor.kind), expected, "{kind} {provider}");
        }
    }
}
