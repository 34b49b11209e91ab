# The service in a container. docs/serve.md says how to build and run it; tests/serve/test_container.py runs these steps.
# The second stage has Python, mien and what it needs: no compiler, no shell tools, no cache.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/mien
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY recipes ./recipes
COPY src ./src
RUN /opt/mien/bin/python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[serve]" av

FROM python:3.13-slim
COPY --from=build /opt/mien /opt/mien
ENV PATH=/opt/mien/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 TMPDIR=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-I", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["mien", "serve", "--host", "0.0.0.0", "--port", "8000"]
