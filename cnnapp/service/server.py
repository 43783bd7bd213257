"""Start a service, and stop it: Ray with a process a model, and the gateway in this one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnapp.service import ports
from cnnapp.service.limits import Limits
from cnnapp.service.processes import admission, ray_local
from pipelines.artifacts.model_card import check_files, read_card
from pipelines.artifacts.trust.policy import require_signature
from pipelines.core import extras
from pipelines.core.errors import ConfigError, ModelError, ServiceError

if TYPE_CHECKING:
    from cnnapp.service.front.access import Access
    from cnnapp.service.gateway import Gateway

__all__ = ["Service", "run"]

_STORE = 80 * 2**20  # bytes of shared memory, the least that Ray takes; requests do not go through it
_OWN_FILES = 256
_HEALTH_SECONDS = 1.0
_POLL_SECONDS = 0.1
_QUIET = {"log_level": "ERROR", "enable_access_log": False}


@dataclass(frozen=True)
class Service:
    """What is to be served, and where.

    Args:
        directories: of the saved models.
        address: to listen on.
        port: likewise; 0 for any that is free, None for the first from 8501 on.
        replicas: processes a model.
        limits: what it takes on.
        access: who may ask; None for anybody, by the names of this machine.

    Raises:
        ModelError: if a model cannot be read or is altered.
        ConfigError: if two of them have the same name and version.
    """

    directories: tuple[Path, ...]
    address: str = "127.0.0.1"
    port: int | None = None
    replicas: int = 1
    limits: Limits = field(default_factory=Limits.parse)
    access: Access | None = None

    def __post_init__(self) -> None:
        """Look at the models, so that what is wrong with one is said before anything is started."""
        for directory in self.models().values():
            require_signature(directory)

    def models(self) -> dict[tuple[str, int], Path]:
        """Return the directories by name and version."""
        found: dict[tuple[str, int], Path] = {}
        for directory in self.directories:
            card = read_card(directory)
            problems = check_files(directory, card)
            if problems:
                raise ModelError(f"{directory}: {problems[0]}; get it again, or train it again")
            if (card.name, card.version) in found:
                raise ConfigError(f"{card.name}/{card.version} is listed twice; list each model once")
            found[card.name, card.version] = directory
        return found


def run(service: Service, ready: Callable[[str], None], reload: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT; then answer what is in flight, and leave no process behind.

    Args:
        service: what, and where.
        ready: called with the service's URL once every model is warm and requests are taken.
        reload: called on SIGHUP while requests are taken.

    Raises:
        ConfigError: if what serving needs is not installed, or the address is none of this machine.
        ModelError: if a model would reach outside of itself and is not trusted.
        ServiceError: if the port is taken, or a model does not start.
    """
    extras.need("the service", "ray")
    _allow_open_files(service.limits.connections)
    stopping = _note_signals()
    # The port is taken before the models are loaded: that it cannot be should be known at once.
    with (
        contextlib.suppress(_Stopped),
        ports.hold(service.address, service.port) as listener,
        admission.looked_through(service.directories) as refuse,
        _ray(stopping),
    ):
        refuse()
        gateway = _gateway(service, _deploy(service, stopping))
        _serve(gateway, listener, service.limits, ready, reload, stopping)


class _Stopped(Exception):
    """A signal came before there was anything to be finished."""


def _allow_open_files(connections: int) -> None:
    """Have the system let this process open as many files as there may be connections, and its own."""
    import resource

    needed = connections + _OWN_FILES
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most not in (resource.RLIM_INFINITY, -1) and most < needed:
        raise ConfigError(
            f"--connections: {connections:,} and {_OWN_FILES} files of its own are more than the {most:,} that the "
            "system lets this process open (`ulimit -H -n`); choose fewer"
        )
    if now not in (resource.RLIM_INFINITY, -1) and now < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


def _note_signals() -> threading.Event:
    """Have signals say that what is being started should end; return what they set.

    Nothing is raised where they arrive: Ray's compiled parts lose an exception, or the process with it.
    """
    stopping = threading.Event()

    def stop(number: int, frame: Any) -> None:
        signal.alarm(0)  # which is set before Ray's compiled parts hand a signal on, and would end this process
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopping


@contextlib.contextmanager
def _ray(stopping: threading.Event) -> Iterator[None]:
    """Start Ray for this process alone, and stop all of it; raise ``_Stopped`` if that is asked for meanwhile."""
    os.environ |= ray_local.environment()
    try:
        import ray
        import ray.serve
    except ImportError:
        raise ConfigError(f"the service needs Ray Serve; install it with: {extras.install_command('ray')}") from None
    # Short, for the paths of its sockets may have 107 characters.
    folder = tempfile.mkdtemp(prefix="cnnapp-", dir="/tmp" if os.path.isdir("/tmp") else None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Ray starts in a thread, where it has no signal handlers of its own to offer; its processes end with that thread.
    thread = ThreadPoolExecutor(1)
    try:
        starting = thread.submit(
            ray.init,
            address="local",  # also where RAY_ADDRESS names a cluster
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=True,
            logging_level=logging.ERROR,
            object_store_memory=_STORE,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        starting.result()
        for number, handler in handlers.items():
            signal.signal(number, handler)  # its compiled parts put their own in their place
        _go_on(stopping)
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        ray.serve.start(proxy_location="Disabled", logging_config=_QUIET)
        yield
    finally:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)  # a second one must not leave half of Ray behind
        logging.getLogger("ray.serve").setLevel(logging.CRITICAL)  # its parts miss each other while they end
        ray.shutdown()
        thread.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _go_on(stopping: threading.Event, seconds: float = 0.0) -> None:
    """Raise ``_Stopped`` if a signal came, or comes within so many seconds."""
    if stopping.wait(seconds):
        raise _Stopped


def _deploy(service: Service, stopping: threading.Event) -> dict[tuple[str, int], Any]:
    """Start the models, all at the same time, and wait until they are warm; return a handle for each."""
    from ray import serve

    from cnnapp.service.processes.replica import ModelReplica

    models = service.models()
    threads = max(1, (os.cpu_count() or 1) // service.replicas)
    targets = []
    for (name, version), directory in models.items():
        deployment = serve.deployment(
            name=f"{name}-{version}",
            num_replicas=service.replicas,
            # Queues are kept, and limited, in front of Ray's.
            max_ongoing_requests=10 * service.limits.queue,
            # A process that ended is missed after a second, and not after ten.
            health_check_period_s=_HEALTH_SECONDS,
            graceful_shutdown_timeout_s=1.0,
            ray_actor_options={"num_cpus": 0},
        )(ModelReplica)
        application = deployment.bind(str(directory.resolve()), service.limits, threads)
        targets.append(serve.RunTarget(application, f"{name}-{version}", route_prefix=None, logging_config=_QUIET))
    handles = serve.run_many(targets, wait_for_applications_running=False)
    _wait_until_warm([target.name for target in targets], stopping)
    return dict(zip(models, handles, strict=True))


def _wait_until_warm(names: list[str], stopping: threading.Event) -> None:
    from ray import serve
    from ray.serve.schema import ApplicationStatus

    while names:
        _go_on(stopping, _POLL_SECONDS)
        found = serve.status().applications
        for name in names:
            if found[name].status == ApplicationStatus.DEPLOY_FAILED:
                raise ServiceError(f"a model does not start: {name}: {found[name].message}")
        names = [name for name in names if found[name].status != ApplicationStatus.RUNNING]


def _gateway(service: Service, handles: dict[tuple[str, int], Any]) -> Gateway:
    from cnnapp.service.gateway import Gateway
    from cnnapp.service.processes.deployment import Deployment

    models: dict[str, dict[int, Any]] = {}
    for (name, version), handle in handles.items():
        models.setdefault(name, {})[version] = Deployment(handle)
    return Gateway(models, service.limits, service.access, service.replicas)


def _serve(
    gateway: Gateway,
    listener: socket.socket,
    limits: Limits,
    ready: Callable[[str], None],
    reload: Callable[[], None],
    stopping: threading.Event,
) -> None:
    import uvicorn

    from cnnapp.service.front.connections import configure

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop gently; uvicorn's own way would end this process before Ray is stopped."""

            def stop() -> None:
                gateway.stopping = True
                self.should_exit = True

            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
            loop.add_signal_handler(signal.SIGHUP, reload)
            if stopping.is_set():  # just before
                stop()
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Take requests, and say so."""
            await super().startup(sockets)
            host, port = listener.getsockname()[:2]
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """Stop; those that are cut off then are told so."""
            await super().shutdown(sockets)
            if self.server_state.tasks:
                await asyncio.wait(self.server_state.tasks, timeout=1.0)

    config = configure(gateway.application, limits, gateway.metrics.refused)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(Server(config).serve([listener]))
