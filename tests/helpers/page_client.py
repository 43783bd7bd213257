"""A client of the page without a browser: it speaks Streamlit's protocol, so that a session begins and ends at once."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import Any, Self


class PageClient:
    """A connection to a page, as a browser's tab has one.

    Args:
        address: of the server, as ``http://127.0.0.1:8501/``.
        query: of the page's address.
        page: its path, such as ``explain``.
        session: that is taken up again.
    """

    def __init__(self, address: str, query: str = "", page: str = "", session: str = "") -> None:
        self._address, self._query, self._page = address, query, page
        self._names: list[Any] = ["streamlit", *(["none", session] if session else [])]
        self._open = ExitStack()
        self._widgets: dict[str, Any] = {}
        self.uploaders: list[str] = []
        self.session = ""
        self.texts: list[str] = []

    def again(self) -> PageClient:
        """Return a connection that takes up this one's session, as a browser does after the network was away."""
        found = PageClient(self._address, self._query, self._page, self.session)
        found._widgets, found.uploaders = self._widgets, self.uploaders
        return found

    def __enter__(self) -> Self:
        from websockets.sync.client import connect

        place = self._address.replace("http", "ws") + "_stcore/stream"
        made = connect(place, subprotocols=self._names, max_size=None, ping_interval=None)
        self._socket = self._open.enter_context(made)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def run(self, seconds: float = 300.0, settle: bool = True) -> None:
        """Have the page drawn, and wait until it is."""
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        message.rerun_script.query_string = self._query
        message.rerun_script.page_name = self._page
        message.rerun_script.widget_states.widgets.extend(self._widgets.values())
        self._socket.send(message.SerializeToString())
        if settle:
            self.settle(seconds)

    def settle(self, seconds: float = 300.0) -> None:
        """Wait until the page is drawn."""
        self.texts, self.uploaders = [], []
        deadline = time.monotonic() + seconds
        while True:
            found = self._receive(deadline)
            kind = found.WhichOneof("type")
            if kind == "new_session":
                self.session = found.new_session.initialize.session_id
            elif kind == "delta" and found.delta.WhichOneof("type") == "new_element":
                element = found.delta.new_element
                if element.WhichOneof("type") == "file_uploader":
                    self.uploaders.append(element.file_uploader.id)
                self.texts.append(str(element)[:2000])
            elif kind == "script_finished" and found.script_finished == 0:
                return

    def upload(self, name: str, data: bytes, number: int = 0) -> None:
        """Give a file to an uploader of the page, and have the page drawn with it."""
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.WidgetStates_pb2 import WidgetState

        message = BackMsg()
        message.file_urls_request.request_id = "1"
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self.session
        self._socket.send(message.SerializeToString())
        deadline = time.monotonic() + 60
        while (found := self._receive(deadline)).WhichOneof("type") != "file_urls_response":
            pass
        (urls,) = found.file_urls_response.file_urls
        put(self._address.rstrip("/") + urls.upload_url, name, data)
        state = WidgetState(id=self.uploaders[number])
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name, info.size = urls.file_id, name, len(data)
        info.file_urls.CopyFrom(urls)
        self._widgets[state.id] = state
        self.run()

    def _receive(self, deadline: float) -> Any:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        found = ForwardMsg()
        content = self._socket.recv(timeout=max(0.1, deadline - time.monotonic()))
        assert isinstance(content, bytes)
        found.ParseFromString(content)
        return found


def put(url: str, name: str, data: bytes) -> int:
    """Send a file as an uploader does; return the status of the answer."""
    border = "fileborder"
    head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename={json.dumps(name)}\r\n'
    body = head.encode() + b"Content-Type: image/bmp\r\n\r\n" + data + f"\r\n--{border}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={border}"}
    request = urllib.request.Request(url, body, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
