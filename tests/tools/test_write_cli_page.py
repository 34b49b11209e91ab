"""docs/cli.md says what the help texts say."""

from support import load_script


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    tool = load_script("tools/write_cli_page.py")
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run: python tools/write_cli_page.py"
