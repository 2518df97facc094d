"""Writes the initramfs: a cpio archive ("newc") from files, links and texts, without touching the file system.

Fed by image.py, read by the kernel. Archives written one behind the other count as one.
"""

import os
import stat


class Archive:
    """Parent directories are made by themselves; what is added twice is added once."""

    def __init__(self, stream):
        self._stream = stream
        self._names = set()
        self._inode = 0

    def directory(self, name, mode=0o755):
        self._add(name, stat.S_IFDIR | mode, b"")

    def text(self, name, content, mode=0o644):
        self._add(name, stat.S_IFREG | mode, content.encode())

    def file(self, name, path, mode=None):
        with open(path, "rb") as source:
            content = source.read()
        self._add(name, stat.S_IFREG | (mode or stat.S_IMODE(os.stat(path).st_mode)), content)

    def link(self, name, target):
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, mode, major, minor):
        self._add(name, stat.S_IFCHR | mode, b"", (major, minor))

    def close(self):
        self._record("TRAILER!!!", 0, b"", (0, 0))
        self._stream.write(b"\0" * (-self._stream.tell() % 512))

    def __contains__(self, name):
        return name.strip("/") in self._names

    def _add(self, name, mode, content, device=(0, 0)):
        name = os.path.normpath(name).strip("/")
        if name in self._names or name == ".":
            return
        if os.path.dirname(name):
            self.directory(os.path.dirname(name))
        self._names.add(name)
        self._record(name, mode, content, device)

    def _record(self, name, mode, content, device):
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._stream.write(header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4))
