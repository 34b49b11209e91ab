"""The hook for PyInstaller: the files that ship, and the names loaded when asked for, which code does not show."""

from PyInstaller.utils.hooks import collect_data_files

import mien

datas = collect_data_files("mien")  # models, the detector, page templates
hiddenimports = sorted({f"mien.{home}" for home in mien._HOME.values()})  # noqa: SLF001  (it is ours)
