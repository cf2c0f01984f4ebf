"""One end of a BitTorrent transfer over loopback.

make FILE TORRENT [TRACKER]  describe a file
seed TORRENT DIR PORTFILE    serve it; the port is written into PORTFILE
leech TORRENT DIR PORT...    fetch it from these ports of this machine, and end
track PORTFILE ADDRESS PORT  name this peer to all who ask by http; the port is written into PORTFILE
"""

import hashlib
import os
import sys

PIECE = 1 << 20


def encode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    items = b"".join(encode(key) + encode(value[key]) for key in sorted(value))
    return b"d" + items + b"e"


def make(path, torrent, tracker=None):
    hashes = []
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            hashes.append(hashlib.sha1(piece).digest())
    info = {
        b"length": os.path.getsize(path),
        b"name": os.path.basename(path).encode(),
        b"piece length": PIECE,
        b"pieces": b"".join(hashes),
    }
    described = {b"info": info}
    if tracker:
        described[b"announce"] = tracker.encode()
    with open(torrent, "wb") as file:
        file.write(encode(described))


def session(torrent, folder, is_seed):
    import libtorrent as lt

    session = lt.session(
        {
            "listen_interfaces": "127.0.0.1:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            # Over loopback its uTP does some 20 MB/s, and its own encryption is no privacy.
            "enable_outgoing_utp": False,
            "enable_incoming_utp": False,
            "out_enc_policy": 2,
            "in_enc_policy": 2,
            "allow_multiple_connections_per_ip": True,
            "alert_mask": lt.alert.category_t.status_notification,
        }
    )
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    flags = lt.torrent_flags
    params.flags &= ~(flags.auto_managed | flags.paused)
    if is_seed:
        params.flags |= flags.seed_mode
    return session, session.add_torrent(params)


def seed(torrent, folder, port_file):
    running, _ = session(torrent, folder, True)
    while running.listen_port() == 0:
        running.wait_for_alert(100)
    tell_port(port_file, running.listen_port())
    while True:
        running.wait_for_alert(60_000)
        running.pop_alerts()


def tell_port(port_file, port):
    with open(port_file + ".new", "w") as file:
        file.write(str(port))
    os.rename(port_file + ".new", port_file)


def leech(torrent, folder, *ports):
    running, handle = session(torrent, folder, False)
    for port in ports:
        handle.connect_peer(("127.0.0.1", int(port)))
    while not handle.status().is_seeding:
        running.wait_for_alert(10)
        running.pop_alerts()
    # Without waiting for trackers and such to be told.
    os._exit(0)


def track(port_file, address, port):
    import socket
    import socketserver
    from http.server import BaseHTTPRequestHandler

    peer = socket.inet_aton(address) + int(port).to_bytes(2, "big")
    answer = encode({b"interval": 1800, b"peers": peer})

    class Tracker(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Tracker) as server:
        tell_port(port_file, server.server_address[1])
        server.serve_forever()


if __name__ == "__main__":
    {"make": make, "seed": seed, "leech": leech, "track": track}[sys.argv[1]](*sys.argv[2:])
