//! Addresses of frontends, as agents and clients are given them.

/// Why an address is not one that a frontend can be reached at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontendAddressError {
    /// It is not a URL with the scheme `http`.
    #[error("it is not a URL such as http://127.0.0.1:{}", crate::DEFAULT_PORT)]
    NotAnHttpUrl,
    /// It asks for TLS, which neither agents, clients nor frontends speak.
    #[error(
        "Pivot does not speak TLS yet, and nothing was sent in the clear: use http:// within a network that you trust, \
         or the address of a tunnel that encrypts"
    )]
    Tls,
}

/// Checks that an address is a URL whose promise can be kept: with `http` as its scheme, and a host.
pub fn check_frontend_address(address: &str) -> Result<(), FrontendAddressError> {
    let (scheme, rest) = address.split_once("://").ok_or(FrontendAddressError::NotAnHttpUrl)?;
    if scheme.eq_ignore_ascii_case("https") {
        return Err(FrontendAddressError::Tls);
    }

    let has_host = !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']);
    match scheme.eq_ignore_ascii_case("http") && has_host {
        true => Ok(()),
        false => Err(FrontendAddressError::NotAnHttpUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_http_url_with_a_host_and_never_https() {
        for address in ["http://127.0.0.1:7468", "HTTP://pivot.internal", "http://[::1]:7468/"] {
            assert_eq!(check_frontend_address(address), Ok(()), "{address}");
        }
        for address in ["https://127.0.0.1:7468", "HTTPS://pivot.internal", "https://"] {
            assert_eq!(check_frontend_address(address), Err(FrontendAddressError::Tls), "{address}");
        }
        for address in
            ["", "localhost:7468", "127.0.0.1", "http://", "http://:7468", "ftp://host", "http:/host"]
        {
            let expected = Err(FrontendAddressError::NotAnHttpUrl);
            assert_eq!(check_frontend_address(address), expected, "{address}");
        }
    }
}
