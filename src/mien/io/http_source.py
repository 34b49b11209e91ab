"""Pictures that are fetched over HTTP: what an address gives, and its content."""

import io
from contextlib import closing
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPBasicAuthHandler, HTTPDigestAuthHandler, HTTPPasswordMgrWithDefaultRealm, build_opener

from mien.errors import DataError

_PATIENCE = 10.0  # seconds: how long a server may take to answer
_MOST_BYTES = 1 << 28  # of a picture: more than any that is small enough to be read


def is_http(name: str) -> bool:
    """Return whether a name is an address that starts with http:// or https://."""
    return name.lower().startswith(("http://", "https://"))


def url_suffix(url: str) -> str:
    """Return the suffix of the file that an address names, in lower case, such as `.jpg`."""
    return PurePosixPath(urlsplit(url).path).suffix.lower()


@lru_cache(maxsize=1024)
def gives_picture(url: str) -> bool | None:
    """Ask a server whether an address gives a single picture. None where it does not answer."""
    try:
        with closing(_open(url)) as answer:
            return bool(answer.headers.get_content_maintype() == "image")
    except HTTPError as error:
        error.close()
    except (OSError, ValueError):
        pass
    return None


def fetch_picture(url: str, *, name: str) -> io.BytesIO:
    """Fetch the content of a picture.

    Parameters
    ----------
    url
        Its address; a user and a password before the host are sent where the server asks for them.
    name
        What messages and the returned file call it.

    Raises
    ------
    DataError
        If the server does not answer, refuses, or sends more than 256 MiB.
    """
    try:
        with closing(_open(url)) as answer:
            content = answer.read(_MOST_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise DataError(f"{name} cannot be fetched: the server says {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be fetched: {getattr(error, 'reason', None) or error}") from error
    if len(content) > _MOST_BYTES:
        raise DataError(f"{name} must have at most {_MOST_BYTES:,} bytes, got more")
    file = io.BytesIO(content)
    file.name = name  # as files have one: `read_picture` calls them by it
    return file


def _open(url: str) -> Any:
    """Open an address. A user and a password in it are not sent unless the server asks, and never to another host."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    plain = parts._replace(netloc=host).geturl()
    passwords = HTTPPasswordMgrWithDefaultRealm()
    if parts.username:
        passwords.add_password(None, plain, unquote(parts.username), unquote(parts.password or ""))
    opener = build_opener(HTTPBasicAuthHandler(passwords), HTTPDigestAuthHandler(passwords))
    opener.addheaders = [("User-Agent", "mien"), ("Accept", "image/*, */*;q=0.5")]
    return opener.open(plain, timeout=_PATIENCE)
