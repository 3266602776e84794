struct Connection;

pub fn send(connection: &Connection) {
    pivot::tracepoint!("Client.send", over = connection);
}

pub fn open(connection: Connection) {
    pivot::tracepoint!("Client.open", over: Connection = connection);
}

#[pivot::tracepoints("Client.close", fields(over: Connection = Connection))]
pub fn close() {}
