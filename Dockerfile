# One image for every process of Perseus: web, worker, and the commands. compose.yaml shows them together.
FROM python:3.11-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /perseus

# Before the sources: they change more often than what they stand on.
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt

COPY . .
RUN python -m compileall -q activity perseus_admin && useradd --system --no-create-home perseus
USER perseus

EXPOSE 8000
# Behind a proxy that ends TLS add --proxy-headers, so that the limit on failed sign-ins counts visitors and not the proxy.
CMD ["python", "-m", "daphne", "-b", "0.0.0.0", "-p", "8000", "-v", "0", "--no-server-name", \
     "--websocket-max-message-size", "65536", "--websocket-max-frame-size", "65536", \
     "--ping-interval", "20", "--ping-timeout", "30", "--application-close-timeout", "5", \
     "perseus_admin.asgi:application"]
