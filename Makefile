# make demo: a first look. make test: the tests. make fuzz: damaged files. Each makes the environment it needs, from Python and pip alone.
PYTHON ?= python3

.PHONY: demo test lint fuzz clean

demo: .venv-demo/made
	.venv-demo/bin/mien demo

test: .venv/made
	.venv/bin/python -m pytest --cov --cov-report=

lint: .venv/made
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tools/check_house.py
	.venv/bin/coverage report  # of the last `make test`

clean:
	rm -rf .venv .venv-demo

fuzz: .venv/made
	PYTHONPATH=tests .venv/bin/python -m fuzz --seconds 60

.venv-demo/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	touch $@

.venv/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
