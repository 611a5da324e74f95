use std::sync::{Arc, Mutex};

use lettre::message::Mailboxes;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::text::tests::notice;

fn options() -> SmtpOptions {
    SmtpOptions {
        host: "mail.example.com".to_owned(),
        port: 25,
        tls: SmtpTls::None,
        ca_file: None,
        login: None,
        from: "Portcullis <portcullis@example.com>".to_owned(),
        to: vec!["soc@example.com".to_owned(), "it@example.com".to_owned()],
    }
}

fn formatted(login: &str, text: &str) -> String {
    let smtp = Smtp::new(&options()).unwrap();
    String::from_utf8(smtp.message(&notice(login, text)).unwrap().formatted()).unwrap()
}

/// The names of the headers, without the lines by which they go on.
fn headers(mail: &str) -> Vec<&str> {
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    let begins = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    begins.map(|line| line.split_once(':').unwrap().0).collect()
}

const HEADERS: [&str; 8] =
    ["From", "Subject", "Message-ID", "Auto-Submitted", "To", "Content-Type", "Content-Transfer-Encoding", "Date"];

#[test]
fn no_text_adds_a_header_or_ends_the_message() {
    for text in [
        "plain",
        "x\r\nBcc: eve@evil.example\r\n\r\nBody",
        "x\nX-Evil: 1",
        "x\rX-Evil: 1",
        "x\u{85}X-Evil: 1\u{2028}X-Evil: 2\u{b}X-Evil: 3\u{c}",
        "\r\n.\r\nQUIT\r\n",
        "=?utf-8?B?DQpYLUV2aWw6IDE=?=",
        "ünïcode ✓ \u{202e}reversed",
        "a very long word: \u{1f600}",
    ] {
        for (login, title) in [(text, "title"), ("login", text)] {
            let mail = formatted(login, title);
            let mut found = headers(&mail);
            assert!(HEADERS.iter().all(|name| found.contains(name)), "{found:?}");
            found.retain(|name| !HEADERS.contains(name) && *name != "MIME-Version");
            assert!(found.is_empty(), "{text:?} made {found:?} in\n{mail}");
            assert!(!mail.contains("\r\n.\r\n"), "{mail}");
            assert!(!mail.replace("\r\n", "").contains(['\r', '\n']), "a lone line break in {mail:?}");
        }
    }
}

#[test]
fn the_same_message_has_the_same_id_each_time() {
    let of = |mail: &str| mail.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    assert_eq!(of(&formatted("alice", "text")), "Message-ID: <msg_7_1@example.com>");
}

#[test]
fn addresses_are_mailboxes() {
    for right in ["soc@example.com", "SOC <soc@example.com>", "\"Security, Ops\" <soc@example.com>"] {
        assert_eq!(address_problem(right), Ok(()), "{right}");
    }
    for wrong in ["", "soc", "a@b, c@d", "a@b\r\nRCPT TO:<c@d>", "SOC <soc@example.com>\r\nBcc: x@y"] {
        assert!(address_problem(wrong).is_err(), "{wrong}");
    }
    let all: Mailboxes = options().to.iter().map(|to| mailbox(to).unwrap()).collect();
    assert_eq!(all.iter().count(), 2);
}

#[test]
fn a_file_without_certificates_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = SmtpOptions { tls: SmtpTls::StartTls, ca_file: Some(file.path().to_owned()), ..options() };
    let error = Smtp::new(&options).err().unwrap();
    assert_eq!(error.setting(), "ca-file");
    assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
}

/// A server that answers as it is told to those recipients whose address begins with the digits of an answer.
async fn serve(connection: TcpStream, taken: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    connection.write_all(b"220 hello\r\n").await?;
    let (mut line, mut to) = (String::new(), String::new());
    while connection.read_line(&mut line).await? > 0 {
        let answer = match line.split_once("RCPT TO:<") {
            Some((_, address)) => {
                to = address.split('>').next().unwrap().to_owned();
                let code = to.get(..3).filter(|code| code.parse::<u16>().is_ok()).unwrap_or("250");
                format!("{code} said\r\n")
            }
            None if line.starts_with("DATA") => {
                connection.write_all(b"354 go on\r\n").await?;
                while line != ".\r\n" {
                    line.clear();
                    connection.read_line(&mut line).await?;
                }
                taken.lock().unwrap().push(to.clone());
                "250 taken\r\n".to_owned()
            }
            None => "250 well\r\n".to_owned(),
        };
        connection.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

#[tokio::test]
async fn a_mailbox_that_is_no_more_keeps_nothing_from_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::<Mutex<Vec<String>>>::default();
    tokio::spawn({
        let taken = Arc::clone(&taken);
        async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&taken)));
            }
        }
    });
    let send = async |to: &[&str]| {
        let to = to.iter().map(|to| format!("{to}@example.com")).collect();
        let smtp = Smtp::new(&SmtpOptions { host: "127.0.0.1".to_owned(), port, to, ..options() }).unwrap();
        let sent = smtp.send(&notice("alice", "text")).await;
        (sent, std::mem::take(&mut *taken.lock().unwrap()))
    };
    assert_eq!(send(&["550", "soc"]).await, (Ok(()), vec!["soc@example.com".to_owned()]));
    assert_eq!(send(&["soc", "450", "it"]).await.1, ["soc@example.com", "it@example.com"]);
    assert!(matches!(send(&["450", "550"]).await.0, Err(ChannelError::Later { .. })));
    assert!(matches!(send(&["550", "450"]).await.0, Err(ChannelError::Later { .. })));
    assert!(matches!(send(&["550", "551"]).await.0, Err(ChannelError::Refused(_))));
}
