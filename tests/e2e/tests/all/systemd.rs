//! Sockets that a service manager hands over, and what it is told: `sd_listen_fds(3)` and `sd_notify(3)`, without systemd.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use command_fds::{CommandFdExt as _, FdMapping};
use nix::sys::signal::Signal;
use portcullis_lab::net::{free_port, own_address};
use tokio::net::UnixDatagram;

use crate::stage::{PATIENCE, Setup, Stage, binary, machine};

/// The gateway as a service manager starts it, with these sockets as file descriptors 3, 4 and so on. `LISTEN_PID` is the
/// shell's, which becomes the gateway.
fn launch(stage: &Stage, sockets: Vec<OwnedFd>, names: &str) -> Result<Command> {
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"]);
    command.arg(binary()?).arg("run").arg("--config").arg(stage.config_file());
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    let mappings =
        sockets.into_iter().zip(3..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
    command.fd_mappings(mappings)?;
    Ok(command)
}

/// Replaces an address in the configuration.
fn use_socket(stage: &Stage, address: SocketAddr, name: &str) -> Result<()> {
    let (text, is) = (std::fs::read_to_string(stage.config_file())?, format!("address = \"{address}\""));
    ensure!(text.contains(&is), "{address} is not in the configuration");
    Ok(std::fs::write(stage.config_file(), text.replace(&is, &format!("address = \"systemd:{name}\"")))?)
}

async fn told(manager: &UnixDatagram) -> Result<String> {
    let mut message = [0; 4096];
    let size = tokio::time::timeout(PATIENCE, manager.recv(&mut message)).await.context("it says nothing")??;
    Ok(String::from_utf8(message[..size].to_vec())?)
}

#[tokio::test]
async fn sockets_are_handed_over_and_the_manager_is_told() -> Result<()> {
    let own = own_address().into();
    let metrics = SocketAddr::new(own, free_port(own)?);
    let sections = format!("[metrics]\naddress = \"{metrics}\"\n");
    let mut stage = Stage::without_gateway(Setup { sections, ..Setup::default() }).await?;
    let addresses = [(stage.web, "console"), (metrics, "metrics"), (stage.ldap, "ldap")];
    let mut sockets = Vec::new();
    for (address, name) in addresses {
        use_socket(&stage, address, name)?;
        sockets.push(TcpListener::bind(address)?);
    }
    let path = stage.folder.path().join("notify");
    let manager = UnixDatagram::bind(&path)?;
    let start = |stage: &Stage| -> Result<Command> {
        let copies = sockets.iter().map(|socket| Ok(socket.try_clone()?.into())).collect::<Result<_>>()?;
        let mut command = launch(stage, copies, "console:metrics:ldap")?;
        command.env("NOTIFY_SOCKET", &path);
        Ok(command)
    };

    // Whoever comes before the gateway is there waits, and is served.
    let mut early = stage.client(machine()).await?;
    let command = start(&stage)?;
    stage.start_by(command).await?;
    assert_eq!(told(&manager).await?, "READY=1\n");
    assert_eq!(early.bind(&stage.dn("alice"), "alice-secret").await?.code as i32, 0);
    for (address, path) in [(stage.web, "healthz"), (metrics, "metrics")] {
        assert!(reqwest::get(format!("http://{address}/{path}")).await?.status().is_success(), "{path}");
    }

    stage.gateway().signal(Signal::SIGHUP)?;
    let reloading = told(&manager).await?;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(&manager).await?, "READY=1\n");

    // A restart loses nobody: the socket is there all the time.
    stage.gateway().signal(Signal::SIGTERM)?;
    assert_eq!(told(&manager).await?, "STOPPING=1\n");
    stage.stop()?;
    let mut between = stage.client(machine()).await?;
    let command = start(&stage)?;
    stage.start_by(command).await?;
    assert_eq!(told(&manager).await?, "READY=1\n");
    assert_eq!(between.bind(&stage.dn("bob"), "bob-secret").await?.code as i32, 0);
    Ok(())
}

/// What the gateway says when it is started so, which has to be its end.
async fn complaint(stage: &mut Stage, command: Command) -> Result<String> {
    let error = stage.start_by(command).await.err().context("it starts with that")?;
    Ok(format!("{error:#}"))
}

#[tokio::test]
async fn what_is_handed_over_wrongly_is_named() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    use_socket(&stage, stage.ldap, "ldap")?;
    let listening = || -> Result<OwnedFd> { Ok(TcpListener::bind("127.0.0.1:0")?.into()) };

    let command = launch(&stage, vec![listening()?], "other")?;
    let said = complaint(&mut stage, command).await?;
    assert!(said.contains("listener wiki cannot listen on systemd:ldap: the service manager"), "{said}");
    assert!(said.contains("no socket of that name, but these: other"), "{said}");

    let command = launch(&stage, vec![listening()?, listening()?], "ldap:ldap")?;
    assert!(complaint(&mut stage, command).await?.contains("2 sockets of that name"));

    let command = launch(&stage, vec![listening()?], "ldap:more")?;
    assert!(complaint(&mut stage, command).await?.contains("1 sockets and 2 names"));

    let command = launch(&stage, vec![UdpSocket::bind("127.0.0.1:0")?.into()], "ldap")?;
    assert!(complaint(&mut stage, command).await?.contains("it is no TCP socket"));

    let command = launch(&stage, vec![std::fs::File::open("/dev/null")?.into()], "ldap")?;
    assert!(complaint(&mut stage, command).await?.contains("it is no TCP socket"));

    let server = TcpListener::bind("127.0.0.1:0")?;
    let connection = std::net::TcpStream::connect(server.local_addr()?)?;
    let command = launch(&stage, vec![connection.into()], "ldap")?;
    assert!(complaint(&mut stage, command).await?.contains("it does not listen"));

    // Meant for another process.
    let mut meant = Command::new(binary()?);
    meant.arg("run").arg("--config").arg(stage.config_file());
    meant.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "ldap").env("LISTEN_PID", "1");
    assert!(complaint(&mut stage, meant).await?.contains("has handed over no socket at all"));
    Ok(())
}

#[tokio::test]
async fn the_console_is_not_served_in_clear_text_on_a_socket_that_the_network_reaches() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    use_socket(&stage, stage.web, "console")?;
    let everywhere = TcpListener::bind("0.0.0.0:0")?;
    let command = launch(&stage, vec![everywhere.into()], "console")?;
    let said = complaint(&mut stage, command).await?;
    assert!(said.contains("the console would be served in clear text on 0.0.0.0:"), "{said}");
    Ok(())
}
