"""An MCP server that is started as a process and spoken to over its standard input and output."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import Field, SecretStr, WithJsonSchema

from rowsmith.config import Config, without_secrets
from rowsmith.errors import ConfigError

_PASSED_ON = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "SYSTEMROOT", "TEMP", "TERM", "TMPDIR", "USER", "USERPROFILE")

_Secret = Annotated[SecretStr, WithJsonSchema({"type": ["string", "number", "boolean"], "writeOnly": True})]
"""In YAML it may look like a number, as every text may."""


class MCPServer(Config):
    """One MCP server over stdio.

        MCPServer(command="npx", args=["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"])

    It sees nothing of this process's environment but where programs and the home folder are, and `env`.

    Attributes:
        command: the program.
        args: its arguments. They are written down with a run: keys belong into `env`.
        env: its environment, by name; None passes on the value that this process has.
        cwd: the folder in which it is started; the current one if None, in a YAML file that of the file. A program that
            `command` names by its path is looked for from there.
        only: the names of the tools that are wanted; all if None.
        start_timeout: seconds from its start to its first answer; it may have to be fetched.
    """

    command: str = Field(min_length=1)
    args: list[str] = Field(default_factory=list)
    env: dict[str, _Secret | None] = Field(default_factory=dict)
    cwd: str | None = None
    only: list[str] | None = Field(default=None, min_length=1)
    start_timeout: float = Field(default=60.0, gt=0)

    def describe(self) -> dict[str, Any]:
        """The command line as JSON, with the names of `env` alone, and nothing that looks like a key.

        The folder is no part of it: a run may be moved.
        """
        args = [without_secrets(one) for one in self.args]
        return {"command": self.command, "args": args, "env": sorted(self.env), "only": self.only}

    def environment(self) -> dict[str, str]:
        """The environment of its process.

        Raises:
            ConfigError: a variable that is to be passed on is not set.
        """
        made = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        for name, value in self.env.items():
            if value is None and name not in os.environ:
                raise ConfigError(f"{self}: env passes on {name!r}, which is not set in the environment.")
            made[name] = os.environ[name] if value is None else value.get_secret_value()
        return made

    def __str__(self) -> str:
        return f"MCP server {without_secrets(self.command)!r}"


class ServerTools(Config):
    """The tools of an MCP server, as an entry of a list of tools.

    Attributes:
        mcp: the server.
    """

    mcp: MCPServer
