//! An answer of 10,000 entries: to a fast reader, to a slow one, and to one that does not read.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::company::Company;
use portcullis_lab::slapd::Slapd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::ber::Octets;
use super::request::{Op, bind, search};
use super::script::Transcript;
use super::world::{ALLOW_ALL, gateway_before};
use crate::stage::{PATIENCE, Stage};

const ENTRIES: usize = 10_000;
/// Far more in all than the kernel keeps for sockets on their way from the directory to the client.
const DESCRIPTION: usize = 4_000;
/// How much more memory the gateway may take for a client that does not read: what both directions may hold of one
/// connection (64 KiB and one read each), and what the allocator adds.
const GROWTH: u64 = 512 * 1024;

fn extras() -> portcullis_lab::slapd::Extras {
    let mut extras = super::world::extras();
    let filler = "All work and no play makes a dull directory. ".repeat(DESCRIPTION / 45);
    for nth in 0..ENTRIES {
        // Writing into a String cannot fail.
        let _ = writeln!(
            extras.ldif,
            "dn: cn=entry{nth},ou=lab,dc=example,dc=com\nobjectClass: device\ncn: entry{nth}\ndescription: {nth} {filler}\n\
             entryUUID: 00000000-0000-8000-8001-{nth:012x}\n"
        );
    }
    extras
}

/// Binds as the administrator and asks for everything; the answer to the bind is read.
async fn asking(server: SocketAddr, receive: Option<u32>) -> Result<(TcpStream, Octets)> {
    let socket = TcpSocket::new_v4()?;
    if let Some(receive) = receive {
        socket.set_recv_buffer_size(receive)?;
    }
    let mut stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&bind("cn=manager,dc=example,dc=com", "manager-secret").message(1)).await?;
    let mut heard = vec![0; 14];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await??;
    let filter = super::request::equal("objectClass", "device");
    let request: Op = search("ou=lab,dc=example,dc=com").filter(filter).into();
    stream.write_all(&request.message(2)).await?;
    Ok((stream, heard))
}

/// Reads to the end of the search; `pause` after each megabyte.
async fn all(mut stream: TcpStream, mut heard: Octets, pause: Option<Duration>) -> Result<Octets> {
    let mut buffer = vec![0; 256 * 1024];
    let mut since = 0;
    // The last message is short, and no other one is: success, under id 2.
    while !heard.ends_with(&super::request::answer(2, 0x65, 0, "")) {
        let count = timeout(PATIENCE, stream.read(&mut buffer)).await.context("no more comes")??;
        ensure!(count > 0, "closed after {} octets", heard.len());
        heard.extend_from_slice(&buffer[..count]);
        since += count;
        if let Some(pause) = pause.filter(|_| since > 1_000_000) {
            since = 0;
            sleep(pause).await;
        }
    }
    Ok(heard)
}

/// Octets of memory that the process really has, without files that it maps.
fn memory(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Anonymous:")).context("no line for anonymous memory")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024)
}

/// The memory of the process once it does not change any more. At the start, the console hashes with 64 MiB (Argon2id), which
/// are given back.
async fn settled(pid: u32) -> Result<u64> {
    const START: u64 = 60 * 1024 * 1024;
    let begun = Instant::now();
    loop {
        let before = memory(pid)?;
        sleep(Duration::from_millis(300)).await;
        let now = memory(pid)?;
        if now < START && now.abs_diff(before) < GROWTH / 8 {
            return Ok(now);
        }
        ensure!(begun.elapsed() < PATIENCE, "the memory of the gateway does not settle; it is {now}");
    }
}

/// Waits until the directory cannot send any more, which is when nothing on the way takes it: the bytes that the process has
/// written stop growing.
async fn wait_until_stuck(slapd: u32) -> Result<()> {
    let written = || -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{slapd}/io"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("wchar: ")).context("no line for written octets")?;
        Ok(line.parse()?)
    };
    let begun = Instant::now();
    let (mut before, mut still) = (written()?, 0);
    while still < 10 {
        ensure!(begun.elapsed() < PATIENCE, "the directory goes on sending to a client that does not read");
        sleep(Duration::from_millis(50)).await;
        let now = written()?;
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

async fn silent_reader(stage: &mut Stage, slapd: u32) -> Result<Octets> {
    // One that reads comes first: code, tables and buffers that any connection needs are there then.
    let (stream, heard) = asking(stage.ldap, None).await?;
    let fast = all(stream, heard, None).await?;
    let pid = stage.gateway().pid();
    let before = settled(pid).await?;
    let (stream, heard) = asking(stage.ldap, Some(64 * 1024)).await?;
    wait_until_stuck(slapd).await?;
    let during = memory(pid)?;
    // And it was only stuck, not broken.
    ensure!(all(stream, heard, None).await? == fast, "what came after the pause is not the answer");
    println!("memory of the gateway: {before}, and {during} with a client that does not read {} octets", fast.len());
    ensure!(during < before + GROWTH, "the gateway grew from {before} to {during} for a client that does not read");
    Ok(fast)
}

#[tokio::test]
async fn ten_thousand_entries_reach_every_reader_and_nobody_else_pays() -> Result<()> {
    let (company, extras) = (Company::generate(), extras());
    // Nobody changes anything here, so one directory is enough.
    let slapd = tokio::task::spawn_blocking(move || Slapd::start_with(&company, &extras)).await??;
    let pid = slapd.pid().context("slapd runs")?;
    let (stream, heard) = asking(slapd.addr(), None).await?;
    let direct = all(stream, heard, None).await?;
    let mut entries = Transcript::default();
    entries.take(&direct);
    assert_eq!(entries.frames.len(), ENTRIES + 4, "the entries, the lab's device and reference, the end, and the bind");
    for policies in ["", ALLOW_ALL] {
        let mut stage = gateway_before(&slapd, policies).await?;
        ensure!(silent_reader(&mut stage, pid).await? == direct, "a fast reader gets something else");
        let (stream, heard) = asking(stage.ldap, Some(64 * 1024)).await?;
        let slow = all(stream, heard, Some(Duration::from_millis(10))).await?;
        ensure!(slow == direct, "a slow reader gets something else");
    }
    Ok(())
}
