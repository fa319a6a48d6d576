"""A Slurm cluster on this machine: several nodes with stand-in GPUs, and faults on demand."""

import contextlib
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import psutil

DAEMONS = ("slurmctld", "slurmd", "munged")
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# cred_expire: a job that is put back in the queue waits as long as its credentials last
CONFIGURATION = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthInfo=socket={_short}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={_short}/%n
SlurmctldPidFile={_short}/slurmctld.pid
SlurmdPidFile={_short}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_interval=2,sched_min_interval=0,batch_sched_delay=0
GresTypes=gpu
JobRequeue=1
MinJobAge=300
KillWait=5
ReturnToService=2
SlurmdTimeout={patience}
MessageTimeout=5
SlurmdParameters=config_overrides
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs={cpus} Boards=1 \
SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpus}
PartitionName=main Nodes={nodes} Default=YES DefMemPerCPU={share} MaxTime=1-00:00:00 State=UP
"""


def available():
    """Tell whether a cluster can be started here: the daemons are installed, and we are root."""
    return os.geteuid() == 0 and all(shutil.which(name, path=SYSTEM) for name in DAEMONS)


class Cluster:
    """A controller and its nodes n1, n2 … while the context lasts."""

    def __init__(self, folder, nodes=4, gpus=2, cpus=4, memory=16_000, patience=10):
        """Describe it: `memory` in MB; a node that is silent for `patience` seconds is down."""
        self.folder, self.name = Path(folder).resolve(), f"toy{os.urandom(4).hex()}"
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self.gpus, self.cpus, self.memory, self.patience = gpus, cpus, memory, patience
        self.bin, self.conf = self.folder / "bin", self.folder / "slurm.conf"
        # sockets lie here: their paths must be short, and a test's folder need not be
        self._short = Path(f"/tmp/slurm-{self.name}")
        self._started = []

    def __enter__(self):
        """Start everything; wait until all nodes can take jobs."""
        try:
            self._prepare()
            files = ("socket", "pid-file", "seed-file", "key-file")
            options = [f"--{file}={self._short}/munge.{file}" for file in files]
            self._launch("munged", "--foreground", "--force", *options)
            self._wait("munged", (self._short / "munge.socket").exists)
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _prepare(self):
        for folder in (self.bin, self.folder / "dev", self.folder / "state", self._short):
            folder.mkdir(parents=True)
        for number in range(self.gpus):
            # Slurm wants devices; these are like /dev/null
            os.mknod(self.folder / "dev" / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        key = self._short / "munge.key-file"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        taken = {connection.laddr.port for connection in psutil.net_connections("tcp")}
        free = set(range(10_000, 32_000)) - taken  # above are those of outgoing connections
        port, *ports = random.SystemRandom().sample(sorted(free), 1 + len(self.nodes))
        nodes, ports = ",".join(self.nodes), ",".join(map(str, ports))
        values = vars(self) | {"nodes": nodes, "port": port, "ports": ports}
        values |= {"host": socket.gethostname(), "share": self.memory // self.cpus}
        self.conf.write_text(CONFIGURATION.format(**values))
        devices = f"NodeName={nodes} Name=gpu File={self.folder}/dev/gpu[0-{self.gpus - 1}]"
        (self.folder / "gres.conf").write_text(f"AutoDetect=off\n{devices}\n")
        for real in filter(None, (shutil.which(command, path=SYSTEM) for command in COMMANDS)):
            wrapper = self.bin / Path(real).name
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF="{self.conf}" exec {real} "$@"\n')
            wrapper.chmod(0o755)

    def _launch(self, daemon, *options, **marks):
        """Start a daemon; jobs have the same marks, so that all that is the cluster's is found."""
        program = shutil.which(daemon.split("-")[0], path=SYSTEM)
        marks |= {"PATH": SYSTEM, "SLURM_CLUSTER_NAME": self.name}
        with (self.folder / f"{daemon}.out").open("ab") as out:
            how = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, "env": marks}
            started = subprocess.Popen([program, *options], start_new_session=True, **how)
        self._started.append(started)

    def _wait(self, daemon, reached, seconds=30):
        """Wait until something is so, or tell what the daemon wrote."""
        end, refusal = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            try:
                if reached():
                    return
            except RuntimeError as error:  # what is being started does not answer yet
                refusal = str(error)
            time.sleep(0.1)
        files = [self.folder / f"{daemon}.{kind}" for kind in ("out", "log")]
        tails = [path.read_text(errors="replace")[-2000:] for path in files if path.exists()]
        raise TimeoutError("\n".join([f"{daemon}: in vain for {seconds} s", refusal, *tails]))

    def _processes(self, daemon=""):
        """Return a daemon's processes, or the cluster's, with all that they started."""
        found = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                marks = process.environ()
                mine = marks.get("SLURM_CLUSTER_NAME") == self.name
                mine = mine and daemon in ("", f"slurmd-{marks.get('SLURMD_NODENAME')}")
                if not mine and process.name().startswith("slurm"):
                    # some write their title over their environment, but have their log open
                    logs = [file.path for file in process.open_files()]
                    start, end = f"{self.folder}/", f"{daemon}.log"
                    mine = any(log.startswith(start) and log.endswith(end) for log in logs)
                if mine:
                    found |= {process, *process.children(recursive=True)}
        return found

    def _kill(self, daemon=""):
        """End them at one moment: none is left to report how the others ended."""
        stopped = set()
        while fresh := self._processes(daemon) - stopped:
            stopped |= fresh
            for process in fresh:
                with contextlib.suppress(psutil.Error):
                    process.suspend()
        for process in stopped:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._wait(daemon, lambda: not self._processes(daemon))
        for started in self._started:
            started.poll()

    def close(self):
        """Stop everything, whatever state it is in."""
        self._kill()
        shutil.rmtree(self._short, ignore_errors=True)

    def environment(self):
        """Return what commands need to work on this cluster, in its jobs too."""
        return {"PATH": f"{self.bin}:{os.environ['PATH']}", "SLURM_CONF": str(self.conf)}

    def run(self, *command):
        """Run a command of Slurm, and return what it says."""
        settings = {"env": os.environ | self.environment(), "timeout": 60}
        command = [str(word) for word in command]
        done = subprocess.run(command, capture_output=True, text=True, **settings)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def node_state(self, node):
        """Return a node's state: idle, mixed, allocated, down* …"""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T")

    def kill_node(self, node):
        """Cut a node's power; wait until the controller takes it for down."""
        self._kill(f"slurmd-{node}")
        self._wait("slurmctld", lambda: self.node_state(node).startswith("down"), 90)

    def start_node(self, node):
        """Start a node, at first or again; wait until it can take jobs."""
        (self._short / node).mkdir(exist_ok=True)
        self._launch(f"slurmd-{node}", "-D", "-f", self.conf, "-N", node, SLURMD_NODENAME=node)
        ready = ("idle", "mixed", "allocated", "completing")
        self._wait(f"slurmd-{node}", lambda: self.node_state(node) in ready, 60)

    def kill_controller(self):
        """End the controller at once: what it did in its last 5 seconds may not be written down."""
        self._kill("slurmctld")

    def start_controller(self):
        """Start the controller with the state that it left; wait until it answers."""
        self._launch("slurmctld", "-D", "-f", self.conf)
        self._wait("slurmctld", lambda: "is UP" in self.run("scontrol", "ping"))

    def jobs(self):
        """Return all jobs, those that ended in the last minutes too; gres as in gpu:2(IDX:0-1)."""
        ours = ("id", "name", "state", "node", "comment", "gres")
        theirs = ("job_id", "name", "job_state", "nodes", "comment", "gres_detail")
        found = json.loads(self.run("squeue", "--json"))["jobs"]
        jobs = [dict(zip(ours, map(job.get, theirs), strict=True)) for job in found]
        return [job | {"gres": ",".join(job["gres"])} for job in jobs]

    def state(self, job):
        """Return a job's state."""
        return self.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T")

    def cancel(self, job):
        """Cancel a job."""
        self.run("scancel", job)

    def wait_idle(self, seconds=60):
        """Wait until no job is left that waits or runs."""
        self._wait("slurmctld", lambda: not self.run("squeue", "-h"), seconds)
