"""CSV tables that users give: their columns by name, their rows with the number of their line."""

import csv
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError, explain_read_errors

_LONGEST_LINE = 1 << 16  # characters: a longer one, such as a device without an end gives, is no row of a table


@dataclass(frozen=True)
class CsvTable:
    """A table: the columns' names as the file spells them, and for each row its line and its fields."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def find(self, column: str) -> int | None:
        """Return the place of a column, however it is capitalised; None where it is missing."""
        lowered = [name.lower() for name in self.columns]
        return lowered.index(column) if column in lowered else None


def read_csv_table(path: Path | str) -> CsvTable:
    """Read a CSV file whose first line names its columns; cells lose the spaces around them.

    Raises DataError where the file cannot be read, a column has no name or the name of another, or a row has more or
    fewer fields than there are columns.
    """
    path = Path(path)
    rows = []
    try:
        with explain_read_errors(path), path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(iter(lambda: file.readline(_LONGEST_LINE), ""), skipinitialspace=True)
            columns = tuple(name.strip() for name in next(lines, []))
            if not columns or "" in columns or len({name.lower() for name in columns}) != len(columns):
                raise DataError(
                    f"{path} line 1 must name its columns, each once; "
                    f"got {', '.join(name[:40] for name in columns[:15]) or 'nothing'}"
                )
            for fields in filter(None, lines):
                if len(fields) != len(columns):
                    raise DataError(f"{path} line {lines.line_num}: must have {len(columns)} fields, got {len(fields)}")
                rows.append((lines.line_num, tuple(field.strip() for field in fields)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be a CSV file as UTF-8 text: {error}") from error
    return CsvTable(path, columns, tuple(rows))
