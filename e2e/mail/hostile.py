"""Run by a site: everything that is no submission, at the mail broker's socket, `COUNT` times."""

import array
import fcntl
import os
import random
import socket
import struct
import sys

F_ADD_SEALS, WRITE, GROW, SHRINK = 1033, 8, 4, 2
SOCKET = "/run/hostel/mail/socket"
random.seed(4711)


def memory(size, seals):
    file = os.memfd_create("x", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    fcntl.fcntl(file, F_ADD_SEALS, seals)
    return file


def text(value):
    return struct.pack("<I", len(value)) + value


def submission(recipients):
    return b"\1\0" + struct.pack("<I", len(recipients)) + b"".join(map(text, recipients))


sealed = memory(1000, WRITE | GROW | SHRINK)
nul = memory(1 << 20, WRITE | GROW | SHRINK)
unsealed = memory(1000, 0)
huge = memory(10 << 30, WRITE | GROW | SHRINK)
half = memory(1000, WRITE)
null, pipe = os.open("/dev/null", os.O_RDWR), os.pipe()[0]
good = submission([b"a@b.example"])
cases = [
    (b"", []),
    (b"\0", [sealed]),
    (good, []),
    (good, [unsealed]),
    (good, [half]),
    (good, [huge]),
    (good, [null]),
    (good, [pipe]),
    (good, [sealed] * 2),
    (good, [sealed] * 200),
    (good + b"x", [sealed]),
    (submission([b"a\nb@c.example"]), [sealed]),
    (submission([b"a@b.example"] * 201), [sealed]),
    (submission([]), [nul]),
    (b"\1\0\xff\xff\xff\xff", [sealed]),
    (b"x" * 70000, [sealed]),
]

count = int(sys.argv[1])
refused = 0
held = []
for number in range(count):
    data, files = cases[number % len(cases)]
    if number % 7 == 0:
        data = os.urandom(random.randint(1, 4000))
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(20)
    peer.connect(SOCKET)
    try:
        if files:
            peer.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
        else:
            peer.send(data or b"\0")
        if number % 11 == 0:
            continue  # does not wait for the answer
        answer = peer.recv(4096)
        assert not answer or answer[0] != 0, f"accepted: {number} {answer}"
        refused += 1
    except (BrokenPipeError, ConnectionResetError):
        refused += 1
    finally:
        peer.close()
print("refused", refused)
