//! A loopback port that stays reserved as long as its server object lives, also while the process is down.

use std::{io, net::Ipv4Addr};

use crate::StartError;

/// A reserved port.
///
/// Without the reservation a killed server's port could be given to somebody's outgoing connection, and a client that
/// keeps reconnecting to it could even meet itself there; the restart would then find its port in use.
///
/// On Linux the reservation is a socket that is bound and never listens: the kernel passes the port over when it
/// chooses one for somebody else, refuses connections to it while no server runs, and lets the server bind it beside
/// us, because both sides set SO_REUSEADDR. Other systems do not let two sockets share an address like that; there
/// the port is only looked for, and the start tries another one if it was taken meanwhile.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    number: u16,
    #[cfg(target_os = "linux")]
    _held: std::os::fd::OwnedFd,
}

impl ReservedPort {
    /// Reserves `port`, or any free one.
    pub(crate) fn reserve(port: Option<u16>) -> Result<Self, StartError> {
        let port = port.unwrap_or(0);
        Self::bind(port).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse { port },
            _ => StartError::Port { port, source },
        })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    #[cfg(target_os = "linux")]
    fn bind(port: u16) -> io::Result<Self> {
        use rustix::net::{
            AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
        };

        // Close-on-exec: a server must not inherit reservations.
        let held = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&held, true)?;
        bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        let number = SocketAddrV4::try_from(getsockname(&held)?)?.port();
        Ok(Self { number, _held: held })
    }

    #[cfg(not(target_os = "linux"))]
    fn bind(port: u16) -> io::Result<Self> {
        let probe = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        Ok(Self { number: probe.local_addr()?.port() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_port_somebody_listens_on_is_in_use() {
        let theirs = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = theirs.local_addr().unwrap().port();
        assert!(
            matches!(ReservedPort::reserve(Some(port)), Err(StartError::PortInUse { port: p }) if p == port)
        );
    }

    #[test]
    fn a_reserved_port_refuses_connections_and_lets_its_server_listen() {
        let port = ReservedPort::reserve(None).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port.number());
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // The standard library's listener sets SO_REUSEADDR, as the servers do.
        TcpListener::bind(address).unwrap();
    }
}
