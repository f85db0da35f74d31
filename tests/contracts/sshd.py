"""A real sshd in a folder of its own, as a bastion: one user (whoever runs the tests), one key."""

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.mariadb import program
from tests.contracts.ports import free_port

from talentfeed.stores.ssh import Hop

PRIVILEGE_SEPARATION = Path("/run/sshd")  # compiled into Debian's sshd


@dataclass
class SshServer:
    """Keys are made once; a server that was killed starts again on its port with the same ones."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    options: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Ready when this returns."""
        if not (self.folder / "user").exists():
            for name in ("host", "user", "stranger"):
                self.make_key(name)
            (self.folder / "authorized_keys").write_text((self.folder / "user.pub").read_text())
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        config = self.folder / "sshd_config"
        config.write_text("\n".join([*self._config(), *self.options]) + "\n")
        command = [program("sshd"), "-D", "-f", str(config), "-E", str(self.folder / "sshd.log")]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                if probe.recv(4) == b"SSH-":
                    break
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        if not self.known_hosts.exists():
            self.know("host")

    def _config(self) -> Sequence[str]:
        return [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"PidFile {self.folder}/pid",
            "StrictModes no",  # the folder of tests may be anybody's
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "MaxStartups 100",
        ]

    def make_key(self, name: str, *, passphrase: str = "") -> None:
        (self.folder / name).unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(self.folder / name), "-C", name]
        subprocess.run(command, check=True)

    def know(self, name: str) -> None:
        """Have the known_hosts file hold this key as the server's."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {(self.folder / f'{name}.pub').read_text()}")

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def hop(self) -> Hop:
        return Hop(
            host="127.0.0.1",
            port=self.port,
            user=getpass.getuser(),
            key_path=self.folder / "user",
            known_hosts=self.known_hosts,
        )

    @property
    def settings(self) -> dict[str, str]:
        """As an operator sets them."""
        hop = self.hop
        return {
            "SSH_HOST": hop.host,
            "SSH_PORT": str(hop.port),
            "SSH_USER": hop.user,
            "SSH_KEY_PATH": str(hop.key_path),
            "SSH_KNOWN_HOSTS": str(hop.known_hosts),
        }

    def log(self) -> str:
        file = self.folder / "sshd.log"
        return file.read_text() if file.exists() else ""

    def kill(self) -> None:
        """The server and every connection."""
        if self.process is not None:
            for number in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While inside, neither the server nor any connection says anything."""
        numbers = self._processes()
        for number in numbers:
            os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """sshd, and the processes that it forked, each of which leads a session of its own; the children first."""
        assert self.process is not None
        parents: dict[int, int] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(status.parent.name)] = int(status.read_text().rsplit(")", 1)[1].split()[1])
        found = [self.process.pid]
        for number in found:  # grows as it goes
            found += [child for child, parent in parents.items() if parent == number]
        return found[::-1]
