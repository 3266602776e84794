struct Secret;

pub fn login(password: &Secret) {
    pivot::tracepoint!("Login", sensitive(password) = password);
}
