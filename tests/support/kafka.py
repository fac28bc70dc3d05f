"""A real Apache Kafka for tests: brokers as processes on loopback, in a temporary folder, stopped by their own ids.

The jars come from Maven, once, into .cache/kafka (the version is in tests/kafka/pom.xml)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

REPOSITORY = Path(__file__).resolve().parents[2]
POM = REPOSITORY / "tests" / "kafka" / "pom.xml"
CACHE = REPOSITORY / ".cache" / "kafka"
MISSING = "Kafka tests need Maven (mvn) and Java on the PATH"
START_S = 60.0
_LOG4J = """status = error
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c %m%n
"""


def require_kafka() -> None:
    """Skips the test where Maven or Java is missing; in CI that is a failure."""
    if shutil.which("mvn") and shutil.which("java"):
        return
    if os.environ.get("CI"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def kafka_jars() -> Path:
    """The folder with Kafka's jars, fetched on first use; several test processes may ask at once."""
    libs = CACHE / "libs"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = libs / "pom.xml"
        if not stamp.exists() or stamp.read_bytes() != POM.read_bytes():
            shutil.rmtree(libs, ignore_errors=True)
            command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            shutil.copy(POM, stamp)
    return libs


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Broker:
    """One broker process, which is its cluster's controller too. Port and data stay over restarts."""

    def __init__(self, folder: Path, properties: dict[str, str], port: int) -> None:
        self.port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        (folder / "log4j2.properties").write_text(_LOG4J)
        (folder / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def format(self, cluster: str, *options: str) -> None:
        """Prepares the data folder. Once in a broker's life."""
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._folder / "server.properties")]
        done = subprocess.run(self._java(*tool, *options), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Starts the process; `listening` tells when it answers."""
        assert not self.running, "the broker runs"
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._folder / "server.properties")),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def listening(self) -> bool:
        """Whether the broker takes connections. Raises with its output when it has ended."""
        if not self.running:
            raise AssertionError((self._folder / "output.log").read_text()[-4000:])
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """An orderly end; forced when it takes long. Harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The broker keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undoes `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # it may be paused
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _java(self, *arguments: str) -> list[str]:
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        options.append(f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}")
        return ["java", *options, "-cp", f"{kafka_jars()}/*", *arguments]


@dataclass(frozen=True, slots=True)
class Secured:
    """A further listener with SASL over TLS, for one user by PLAIN or SCRAM-SHA-512."""

    keystore: Path
    user: str
    password: str

    def properties(self, listener: str) -> dict[str, str]:
        """What a broker needs for it."""
        module, prefix = "org.apache.kafka.common.security", f"listener.name.{listener.lower()}"
        plain = f'{module}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
        return {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            f"{prefix}.plain.sasl.jaas.config": plain,
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.keystore),
        }

    def format_options(self) -> list[str]:
        """What the storage tool needs to know the user."""
        return ["--add-scram", f"SCRAM-SHA-512=[name={self.user},password={self.password}]"]


class KafkaServer:
    """A cluster of one broker or more. With several, brokers are killed and restarted one by one: `brokers`."""

    def __init__(self, folder: Path, *, brokers: int = 1, secured: Secured | None = None) -> None:
        """Prepares the cluster and its ports; `start` starts it."""
        ports = free_ports(3 * brokers)
        nodes = [_Node(n + 1, *ports[3 * n : 3 * n + 3]) for n in range(brokers)]
        self.brokers: list[Broker] = []
        self.secured_url = f"kafka://127.0.0.1:{nodes[0].secured}"
        for node in nodes:
            home = folder / f"broker-{node.id}"
            properties = _properties(node, nodes, home / "data")
            if secured is not None:
                properties["listeners"] += f",SECURED://127.0.0.1:{node.secured}"
                properties["advertised.listeners"] += f",SECURED://127.0.0.1:{node.secured}"
                properties["listener.security.protocol.map"] += ",SECURED:SASL_SSL"
                properties |= secured.properties("SECURED")
            self.brokers.append(Broker(home, properties, node.client))
        # Sixteen bytes in base64; one that begins with a dash would be taken for an option.
        cluster = "k" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        for broker in self.brokers:
            broker.format(cluster, *(secured.format_options() if secured else []))

    @property
    def bootstrap(self) -> str:
        """`host:port,…` of every broker."""
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    @property
    def url(self) -> str:
        """The log URL of the cluster."""
        return f"kafka://{self.bootstrap}"

    def start(self) -> None:
        """Returns when the cluster answers. Blocks: an async test calls it in a thread."""
        for broker in self.brokers:
            if not broker.running:
                broker.start()
        end = time.monotonic() + START_S
        # In a thread: the caller may have a running loop of its own.
        with ThreadPoolExecutor(1) as thread:
            while not all(each.listening() for each in self.brokers) or not thread.submit(_ask, self).result():
                assert time.monotonic() < end, f"Kafka did not answer within {START_S} s"
                time.sleep(0.1)

    def stop(self) -> None:
        """An orderly end of every broker."""
        for broker in self.brokers:
            broker.stop()

    def kill(self) -> None:
        """kill -9 of every broker; `start` brings them back on the same ports with the same data."""
        for broker in self.brokers:
            broker.kill()


@dataclass(frozen=True, slots=True)
class _Node:
    """A broker's id and ports."""

    id: int
    client: int
    controller: int
    secured: int


def _properties(node: _Node, nodes: list[_Node], data: Path) -> dict[str, str]:
    copies = str(min(3, len(nodes)))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{each.id}@127.0.0.1:{each.controller}" for each in nodes),
        "listeners": f"PLAINTEXT://127.0.0.1:{node.client},CONTROLLER://127.0.0.1:{node.controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.client}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "broker.session.timeout.ms": "4000",
        "group.initial.rebalance.delay.ms": "0",
        "num.partitions": "3",
        "offsets.topic.num.partitions": "3",
        "offsets.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": copies,
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.replication.factor": copies,
    }


def _ask(server: KafkaServer) -> bool:
    return asyncio.run(_answers(server))


async def _answers(server: KafkaServer) -> bool:
    """Whether the cluster says that all its brokers are there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap, request_timeout_ms=5000)
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"]) == len(server.brokers)
    except KafkaError:
        return False
    finally:
        await admin.close()
