# The search service: no torch, the bundled model inside. docs/service.md says how it is run.
FROM python:3.11-slim

RUN useradd --uid 10001 --create-home dotbogi \
    && mkdir /workspace \
    && chown dotbogi /workspace

COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[serve]" \
    && rm -rf /src

ENV DOTBOGI_WORKSPACE=/workspace \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    RAYON_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER dotbogi
WORKDIR /workspace
VOLUME /workspace
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]

# Keys: DOTBOGI_KEYS, or --keys with a mounted file. Without keys it refuses to listen to others.
CMD ["dotbogi", "serve", "--host", "0.0.0.0", "--port", "8000"]
