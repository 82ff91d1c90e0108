"""The shell blocks of the documents: where they stand, for which shell, and their commands"""

import re
import shlex
from dataclasses import dataclass, field

from test_house import tracked

from course.paths import ROOT

FENCE = re.compile(r"^( *)```([\w+-]*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(python3? [^`\n]+)`(?!`)")
SHELLS = {
    "": "any",  # the same in every shell
    **dict.fromkeys(["bash", "sh", "shell", "console", "zsh"], "sh"),
    **dict.fromkeys(["cmd", "bat", "batch"], "cmd"),
    **dict.fromkeys(["powershell", "pwsh", "ps1"], "powershell"),
}
NO_SHELL = {"python", "text", "json", "yaml", "csv", "html", "js", "javascript", "diff", "mermaid"}
# A line that starts as a command does: one small word, an activation, a variable of PowerShell
COMMAND = re.compile(r"(?:\$ |> |PS> )?(?:[a-z][\w-]*(?= |$)|\.venv\\|\$env:|\./)")


@dataclass(frozen=True)
class Command:
    """One command of a document, e.g. `pip install x`, and the shell it is written for"""

    where: str
    shell: str
    text: str
    words: tuple[str, ...] = field(compare=False)


@dataclass(frozen=True)
class Block:
    document: str
    line: int
    language: str
    before: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Tagged as a shell, or untagged with a line that looks like a command"""
        if self.language == "":
            return any(COMMAND.match(line) for line in self.text.splitlines())
        return self.language in SHELLS

    @property
    def for_powershell(self) -> bool:
        """Tagged so, or the line before it says so"""
        if self.language:
            return SHELLS.get(self.language) == "powershell"
        return "PowerShell" in self.before

    def commands(self) -> list[Command]:
        shell = "powershell" if self.for_powershell else SHELLS[self.language]
        joined = re.sub(r" *[\\^`]\n *", " ", self.text)  # a line continued in sh, cmd, PowerShell
        found = []
        for line in joined.splitlines():
            line = re.sub(r"^(?:\$|>|PS>) ", "", line.split("  #")[0].strip())
            if not line or line.startswith(("#", "rem ", "::")):
                continue
            for part in re.split(r" && |; " if shell == "powershell" else r" && ", line):
                found.append(Command(self.where, shell, part, split(part, shell)))
        return found


def split(text: str, shell: str) -> tuple[str, ...]:
    if shell in ("cmd", "powershell"):  # the backslash is no escape there
        return tuple(word.strip("\"'") for word in shlex.split(text, posix=False))
    return tuple(shlex.split(text))


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        indent, language, inside = match.groups()
        before = text[: match.start()].rstrip().rpartition("\n")[2]
        line = text[: match.start()].count("\n") + 1
        inside = re.sub(rf"^{indent}", "", inside, flags=re.MULTILINE)
        found.append(Block(document, line, language.lower(), before, inside))
    return found


def inline(document: str) -> list[Command]:
    """`python …` between backquotes in the text, without the ones shortened by …"""
    text = FENCE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    return [
        Command(document, "any", found, split(found, "any"))
        for found in INLINE.findall(text)
        if "…" not in found and "..." not in found
    ]


# the changelog names commands of former days
DOCUMENTS = sorted(
    name for name in tracked("*.md") if (ROOT / name).is_file() and name != "CHANGELOG.md"
)
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
COMMANDS = [command for block in BLOCKS if block.is_shell for command in block.commands()]
INLINE_COMMANDS = [command for document in DOCUMENTS for command in inline(document)]
