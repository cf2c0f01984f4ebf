"""One end of a synchronisation over loopback, from its start to its end.

SYNCTHING HOME PORT KEY FOLDER FILES   start SYNCTHING, whose API is at this port, with what HOME
    has; end when FOLDER holds so many files and nothing is missing
"""

import ctypes
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def status(port, key):
    """What it says about the folder; nothing while it starts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"X-API-Key": key}
        connection.request("GET", "/rest/db/status?folder=compare", headers=headers)
        answer = connection.getresponse()
        return json.load(answer) if answer.status == 200 else {}
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def is_complete(said, files):
    # Before the other end has said what there is, nothing is missing either.
    return said.get("globalFiles") == files and said["needTotalItems"] == 0


def main(program, home, port, key, folder, files):
    running = subprocess.Popen([program, "--home", home, "--no-browser"], preexec_fn=die_with_parent)
    while not is_complete(status(int(port), key), int(files)):
        if running.poll() is not None:
            sys.exit(f"it ended: {running.returncode}")
        time.sleep(0.01)
    # Its database has no future.
    running.kill()
    running.wait()
    # By this it knows the folder for its own; later versions keep a file in there.
    shutil.rmtree(os.path.join(folder, ".stfolder"), ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
