"""A person's visit to the page: what it keeps of their images, within limits, and how that ends."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st
from starlette.exceptions import HTTPException
from streamlit import runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

from cnnapp.sessions.session import Session, Sessions, shared

__all__ = ["begin", "current", "end", "notice", "too_much", "uses"]

_SESSION, _IN_USE, _UNPACKED = "session", "uploads in use", "bytes unpacked"
_LATE = 600.0
"""Seconds after which an upload is removed that was never used; until then others of its choice may be on their way."""
_RECONNECT = 60
"""Seconds that a browser is given to connect again, after which the page counts as closed."""
_WATCH = 60
"""Seconds between looks whether the page is still used."""


def current() -> Session:
    """Return the session of the person that the page is drawn for."""
    if _SESSION not in st.session_state:
        st.session_state[_SESSION] = shared().begin()
    session: Session = st.session_state[_SESSION]
    return session


def begin() -> None:
    """Begin to draw a page: what was not used for long is removed, and said to be."""
    session, context = current(), get_script_run_ctx()
    removed = session.use()
    st.session_state[_IN_USE], st.session_state[_UNPACKED] = set(), 0
    if context is not None:
        manager = context.uploaded_file_mgr
        if isinstance(manager, MemoryUploadedFileManager):
            _bound(manager, shared())
        if removed:
            manager.remove_session_files(context.session_id)
        _presence(session.key, context.session_id, session)
    _watch()
    if removed:
        st.info(
            f"Images and answers were removed after {_minutes(session)} without use. Upload them again to go on.",
            icon=":material/timer_off:",
        )


def uses(files: Iterable[UploadedFile], unpacked: int = 0) -> None:
    """Say which uploads are in use on the page that is drawn.

    Args:
        files: those that a widget gave.
        unpacked: bytes that are kept of them besides.
    """
    st.session_state.setdefault(_IN_USE, set()).update(file.file_id for file in files)
    st.session_state[_UNPACKED] = st.session_state.get(_UNPACKED, 0) + unpacked


def end() -> None:
    """End to draw a page: what no part of it refers to is removed."""
    session, context = current(), get_script_run_ctx()
    if context is None or not isinstance(manager := context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    now, used = time.monotonic(), st.session_state.get(_IN_USE, set())
    known: dict[str, float | None] = {}
    for file in _stored(manager, context.session_id):
        since = None if file.file_id in used else session.uploads.get(file.file_id, now)
        # What was in use and is no more belongs to a page that was left. Others of a choice may still be on their way.
        if file.file_id not in used and (since is None or now - since > _LATE):
            manager.remove_file(context.session_id, file.file_id)
        else:
            known[file.file_id] = since
    session.uploads = known
    kept = sum(len(file.data) for file in _stored(manager, context.session_id))
    session.memory.hold(kept + st.session_state.get(_UNPACKED, 0))


def too_much(held: int) -> str | None:
    """Return why the images of a page are not kept; None where they fit.

    Args:
        held: their bytes, with those of what they came out of.
    """
    session = current()
    # What is held now may be just these, of the run before.
    room = session.memory.room + session.memory.held
    if held <= min(room, session.limits.session_bytes):
        return None
    whose = "for you" if session.limits.session_bytes <= room else "for all just now"
    return (
        f"The images are {held / 2**20:,.1f} MiB, more than the {room / 2**20:,.1f} MiB that this page keeps {whose}; "
        "use fewer or smaller ones, or `cnnapp predict`, which takes any number"
    )


def notice() -> str:
    """Return what is kept of images, and how long, in a sentence or two."""
    session = current()
    return (
        f"Images and answers stay in the memory of the machine that serves this page, at most "
        f"{session.limits.session_bytes / 2**20:,.0f} MiB. They are removed within two minutes after you close the "
        f"page, and after {_minutes(session)} without use."
    )


def _minutes(session: Session) -> str:
    return f"{session.limits.idle:g} minute{'' if session.limits.idle == 1 else 's'}"


@st.fragment(run_every=_WATCH)
def _watch() -> None:
    """Draw the page anew once it was not used for long, which removes what is kept, and says so."""
    if current().idle:
        st.rerun()


# === The end of a session ===


@dataclass(frozen=True)
class _Presence:
    """That a browser is connected.

    Args:
        session: whose, as long as it is there.
        connection: Streamlit's name of its session.
    """

    session: weakref.ref[Session]
    connection: str


def _gone(presence: _Presence) -> None:
    """Forget what is kept at once where a browser went away, and its uploads unless it comes back soon."""
    session = presence.session()
    if session is not None:
        session.leave()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # not from the server, but a cache that was cleared
        return
    found = runtime.get_instance()._session_mgr.get_session_info(presence.connection)
    if found is not None:
        # Streamlit itself would let go of the session, and of its uploads, only when others come and go.
        wait = min(_RECONNECT, int(st.get_option("server.disconnectedSessionTTL")) // 2)
        loop.call_later(wait, _close, presence.connection, found.session)


@st.cache_resource(scope="session", show_spinner=False, on_release=_gone)
def _presence(key: str, connection: str, _session: Session) -> _Presence:
    """Be told, by being released, when the browser of a session goes away."""
    return _Presence(weakref.ref(_session), connection)


def _close(connection: str, kept: AppSession) -> None:
    """Free all that Streamlit keeps for a session whose browser did not come back: uploads, pictures, downloads."""
    if not runtime.exists() or (server := runtime.get_instance()).is_active_session(connection):
        return
    server.close_session(connection)
    kept.shutdown()  # also where it was too late to be closed by its name
    # The server still refers to the session that it last sent something to.
    kept.session_state.clear()
    kept.flush_browser_queue()
    # The first time marks downloads that nobody can ask for any more, the second removes them.
    for _ in range(2):
        server.media_file_mgr.remove_orphaned_files()


# === Uploads ===


_ADDING = threading.Lock()


def _stored(manager: MemoryUploadedFileManager, connection: str) -> list[UploadedFileRec]:
    return list(manager.file_storage.get(connection, {}).values())


def _bound(manager: MemoryUploadedFileManager, sessions: Sessions) -> None:
    """Refuse uploads beyond the limits before the page is drawn: files of one choice arrive one after another."""
    if "add_file" in vars(manager):
        return
    add, limits = manager.add_file, sessions.limits

    def add_file(session_id: str, file: UploadedFileRec) -> None:
        with _ADDING:
            own = sum(len(each.data) for each in _stored(manager, session_id)) + len(file.data)
            every = sum(len(each.data) for one in list(manager.file_storage) for each in _stored(manager, one))
            if own > limits.session_bytes or every + len(file.data) > limits.memory_bytes:
                raise HTTPException(413, f"more than the {limits.session_bytes / 2**20:,.0f} MiB that are kept")
            add(session_id, file)

    vars(manager)["add_file"] = add_file
