# make demo: a first look. make test: the tests. make fuzz: damaged files. make report FACES=faces.npz: the report's figures.
# Each makes the environment it needs, from Python and pip alone.
# make page, make web: build the two pages of `mien serve` from web/; these need Node and npm.
PYTHON ?= python3

# The tests of the pages need their packages, too; without npm they are skipped.
PAGES := $(if $(shell command -v npm),web/node_modules/made)

.PHONY: demo test lint fuzz clean page web report

demo: .venv-demo/made
	.venv-demo/bin/mien demo

test: .venv/made $(PAGES)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest --cov --cov-report=  # one thread: the tests' nets are tiny

lint: .venv/made
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tools/check_house.py
	.venv/bin/coverage report  # of the last `make test`

report: .venv/made
	@test -n "$(FACES)" || { echo "name a file of faces, as mien data import writes it: make report FACES=faces.npz"; exit 2; }
	.venv/bin/mien evaluate docs/training/report/predictions.csv $(FACES)
	.venv/bin/python experiments/report_study.py $(FACES) -o runs/report-hour --epochs 3

clean:
	rm -rf .venv .venv-demo web/node_modules web/dist

page: web/node_modules/made
	cd web && npm run --silent check && node build.mjs remote ../src/mien/serve/static

web: web/node_modules/made
	cd web && npm run --silent check && node build.mjs local dist

web/node_modules/made: web/package.json web/package-lock.json
	cd web && npm ci --silent
	touch $@

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
